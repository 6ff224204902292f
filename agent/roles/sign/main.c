/*
 * omegad-sign: the process that holds the signing keys.
 *
 * Comes in: --state-dir DIR (substrate.key), --run-dir DIR (next.key, a tmpfs), --fd N (one connected
 * SOCK_SEQPACKET socket, 3 by default), --enroll ORIGIN (make the substrate key if there is none).
 * Goes out: signatures over that socket. Called by: omegad, once. Ends with 0 when the peer closes
 * the socket. Never does: open a file or a socket after its first message.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "agent/chain/signer/wire.h"
#include "agent/roles/sign/sandbox.h"

struct options {
	const char *state_dir;
	const char *run_dir;
	const char *origin;
	int fd;
	bool only_enroll;
};

static int usage(void)
{
	fputs("usage: omegad-sign --state-dir DIR --run-dir DIR [--fd N] [--enroll ORIGIN] "
	      "[--enroll-only]\n",
	      stderr);
	return 2;
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"state-dir", required_argument, NULL, 's'},
		{"run-dir", required_argument, NULL, 'r'},
		{"fd", required_argument, NULL, 'f'},
		{"enroll", required_argument, NULL, 'e'},
		{"enroll-only", no_argument, NULL, 'o'},
		{NULL, 0, NULL, 0},
	};
	char *end;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 's') {
			o->state_dir = optarg;
		} else if (c == 'r') {
			o->run_dir = optarg;
		} else if (c == 'e') {
			o->origin = optarg;
		} else if (c == 'o') {
			o->only_enroll = true;
		} else if (c == 'f') {
			o->fd = (int)strtol(optarg, &end, 10);
			if (*end || o->fd < 3)
				return -EINVAL;
		} else {
			return -EINVAL;
		}
	}
	if (optind != argc || !o->state_dir || (o->only_enroll && !o->origin))
		return -EINVAL;
	return o->only_enroll || o->run_dir ? 0 : -EINVAL;
}

static int open_dir(const char *path, int *fd, struct om_err *err)
{
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return *fd < 0 ? om_err_sys(err, OM_ERR_LOG_KEY, -errno, "cannot open %s", path) : 0;
}

/* Everything but the socket and the standard streams goes; the keys are not even open yet. */
static int close_others(int keep, struct om_err *err)
{
	if ((keep > 3 && close_range(3, (unsigned int)keep - 1, 0) < 0) ||
	    close_range((unsigned int)keep + 1, ~0u, 0) < 0)
		return om_err_sys(err, OM_ERR_SANDBOX, -errno, "cannot close descriptors");
	return 0;
}

static int is_seqpacket(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

static int run(const struct options *o, struct om_err *err)
{
	OM_CLEANUP(om_close_fd) int state_fd = -1;
	OM_CLEANUP(om_close_fd) int run_fd = -1;
	struct om_signer *signer = NULL;
	int ret = om_sign_harden(err);

	if (ret == 0 && !o->only_enroll && !is_seqpacket(o->fd))
		ret = om_err_set(err, OM_ERR_INVALID, -ENOTSOCK,
				 "descriptor %d is not a SOCK_SEQPACKET socket", o->fd);
	if (ret == 0 && !o->only_enroll)
		ret = close_others(o->fd, err);
	if (ret == 0)
		ret = open_dir(o->state_dir, &state_fd, err);
	if (ret == 0 && o->origin)
		ret = om_signer_enroll(state_fd, o->origin, err);
	if (ret < 0 || o->only_enroll)
		return ret;
	ret = open_dir(o->run_dir, &run_fd, err);
	if (ret == 0)
		ret = om_signer_local(state_fd, run_fd, &signer, err);
	if (ret < 0)
		return ret;
	om_close_fd(&state_fd);
	om_close_fd(&run_fd);
	ret = om_sign_confine(err);
	if (ret == 0)
		ret = om_signer_serve(o->fd, signer, err);
	om_signer_free(signer);
	return ret;
}

int main(int argc, char **argv)
{
	struct options o = {.fd = 3};
	struct om_err err = {0};

	if (parse(argc, argv, &o) < 0)
		return usage();
	if (run(&o, &err) < 0) {
		fprintf(stderr, "omegad-sign: %s\n", err.text);
		return 1;
	}
	return 0;
}
