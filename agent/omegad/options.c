/*
 * omegad's options.
 *
 * Comes in: argv. Goes out: struct omegad_opts. Called by: main. Never does: read a configuration file
 * (there is none: policy is in manifests, placement in options).
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include "agent/omegad/omegad.h"

static const struct option longs[] = {
	{"run-dir", required_argument, NULL, 'r'},
	{"state-dir", required_argument, NULL, 's'},
	{"bpffs", required_argument, NULL, 'b'},
	{"cgroup", required_argument, NULL, 'c'},
	{"layers", required_argument, NULL, 'l'},
	{"libexec", required_argument, NULL, 'x'},
	{"nft-table", required_argument, NULL, 'n'},
	{"self-guard", required_argument, NULL, 'g'},
	{"ready-fd", required_argument, NULL, 'R'},
	{"foreground", no_argument, NULL, 'f'},
	{"probe", no_argument, NULL, 'p'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static const char usage[] =
	"usage: omegad [options]\n"
	"  --run-dir DIR      sockets and branes (/run/omega)\n"
	"  --state-dir DIR    audit log and keys (/var/lib/omega)\n"
	"  --bpffs DIR        pins (/sys/fs/bpf/omega)\n"
	"  --cgroup DIR       parent cgroup of all branes (omega below the cgroup2 mount)\n"
	"  --layers LIST      of process,kernel,network: what this host is asked to enforce (all)\n"
	"  --nft-table NAME   (omega)\n"
	"  --self-guard LEVEL brane: nothing inside a brane reaches omegad (the default);\n"
	"                     strict: nor does root outside, until 'omegactl guard release'\n"
	"  --libexec DIR      where omegad-* are (the directory of omegad itself)\n"
	"  --ready-fd N       one byte is written there when requests are served\n"
	"  --foreground       accepted; omegad never leaves the foreground\n"
	"  --probe            say what this kernel can enforce and end: 0 everything, 9 not\n";

static int libexec_of_self(char *dir, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", dir, size - 1);
	char *slash;

	if (n <= 0)
		return -1;
	dir[n] = 0;
	slash = strrchr(dir, '/');
	if (!slash)
		return -1;
	*slash = 0;
	return 0;
}

static int number(const char *s, int *out)
{
	char *end;
	long n = strtol(s, &end, 10);

	if (!*s || *end || n < 0 || n > 1023)
		return -1;
	*out = (int)n;
	return 0;
}

static int layers_ok(const char *list)
{
	for (const char *p = list; *p;) {
		size_t n = strcspn(p, ",");

		if (!(n == 7 && (!strncmp(p, "process", 7) || !strncmp(p, "network", 7))) &&
		    !(n == 6 && !strncmp(p, "kernel", 6)))
			return 0;
		p += n + (p[n] == ',');
	}
	return *list != 0;
}

/* Takes one option; -1: it is wrong. */
static int take(struct omegad_opts *o, int c, const char *arg)
{
	switch (c) {
	case 'r':
		o->run_dir = arg;
		return *arg == '/' ? 0 : -1;
	case 's':
		o->state_dir = arg;
		return *arg == '/' ? 0 : -1;
	case 'b':
		o->bpffs = arg;
		return *arg == '/' ? 0 : -1;
	case 'c':
		o->cgroup = arg;
		return *arg == '/' ? 0 : -1;
	case 'l':
		o->layers = arg;
		return layers_ok(arg) ? 0 : -1;
	case 'n':
		o->nft_table = arg;
		return *arg ? 0 : -1;
	case 'g':
		o->guard = arg;
		return strcmp(arg, "brane") != 0 && strcmp(arg, "strict") != 0 ? -1 : 0;
	case 'x':
		if (*arg != '/' || strlen(arg) >= sizeof(o->libexec))
			return -1;
		memcpy(o->libexec, arg, strlen(arg) + 1);
		return 0;
	case 'R':
		return number(arg, &o->ready_fd);
	case 'f':
		return 0;
	case 'p':
		o->probe = true;
		return 0;
	default:
		return -1;
	}
}

int omegad_options(int argc, char **argv, struct omegad_opts *o, int *code)
{
	int c;

	memset(o, 0, sizeof(*o));
	o->run_dir = "/run/omega";
	o->state_dir = "/var/lib/omega";
	o->bpffs = "/sys/fs/bpf/omega";
	o->nft_table = "omega";
	o->layers = "process,kernel,network";
	o->guard = "brane";
	o->ready_fd = -1;
	*code = 2;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'h') {
			fputs(usage, stdout);
			*code = 0;
			return 1;
		}
		if (c == '?')
			return 1;
		if (take(o, c, optarg) < 0) {
			fprintf(stderr, "omegad: '%s' is not a value for this option\n", optarg);
			return 1;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "omegad: unexpected argument '%s'\n", argv[optind]);
		return 1;
	}
	if (!o->libexec[0] && libexec_of_self(o->libexec, sizeof(o->libexec)) < 0) {
		fputs("omegad: cannot tell where omegad-* are; use --libexec\n", stderr);
		return 1;
	}
	return 0;
}
