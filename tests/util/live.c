/* See live.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <loader/impl.h>
#include "tests/util/live.h"

#define CLONE_NS_FLAGS 0x7e020000u

static void find_cgroup2(char *out, size_t size)
{
	char line[1024], at[256];
	FILE *f = fopen("/proc/self/mountinfo", "re");
	out[0] = '\0';
	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, " - cgroup2 ") && sscanf(line, "%*s %*s %*s %*s %255s", at) == 1) {
			(void)snprintf(out, size, "%s", at);
			break;
		}
	if (f)
		(void)fclose(f);
}

void live_reopen(struct live *v)
{
	struct om_err err = {0};
	if (v->l)
		om_loader_free(v->l);
	v->l = NULL;
	if (om_loader_open(&v->opts, &v->l, &v->got, &err) < 0)
		fail_msg("om_loader_open: %s", err.text);
}

void live_open(struct live *v, uint32_t layers)
{
	static int serial;
	char top[256], exe[3000];

	memset(v, 0, sizeof(*v));
	if (geteuid() != 0) {
		print_message("not root: branes cannot be made\n");
		skip();
	}
	find_cgroup2(top, sizeof(top));
	if (!top[0]) {
		print_message("no cgroup2 is mounted\n");
		skip();
	}
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	assert_true(n > 0);
	exe[n] = '\0';
	for (int i = 0; i < 3; i++)
		*strrchr(exe, '/') = '\0'; /* O/tests/live/test_x -> O */
	int id = (int)getpid() * 100 + serial++;
	(void)snprintf(v->run, sizeof(v->run), "/run/omega-test-%d", id);
	(void)snprintf(v->cgroup, sizeof(v->cgroup), "%s/omega-test-%d", top, id);
	(void)snprintf(v->table, sizeof(v->table), "omega_test_%d", id);
	(void)snprintf(v->bpffs, sizeof(v->bpffs), "/sys/fs/bpf/omega-test-%d", id);
	(void)snprintf(v->shim, sizeof(v->shim), "%s/omegad-shim", exe);
	(void)snprintf(v->helpers, sizeof(v->helpers), "%s/tests/helpers", exe);
	v->opts = (struct om_loader_opts){
		.run_dir = v->run,
		.bpffs = v->bpffs,
		.cgroup = v->cgroup,
		.shim = v->shim,
		.nft_table = v->table,
		.layers = layers,
	};
	live_reopen(v);
}

static int remove_one(const struct om_brane_info *info, void *ctx)
{
	struct live *v = ctx;
	struct om_brane_info out;
	struct om_err err = {0};
	if (om_txn_delete(v->l, info->name, &out, &err) < 0)
		print_message("# deleting %s: %s\n", info->name, err.text);
	return 0;
}

void live_close(struct live *v)
{
	char path[512];
	if (!v->l)
		return;
	(void)!om_loader_each(v->l, remove_one, v, NULL);
	if (v->l->nft)
		(void)!om_nft_destroy(v->l->nft, NULL);
	om_loader_free(v->l);
	v->l = NULL;
	(void)!om_bpf_unload(v->bpffs, NULL);
	(void)rmdir(v->cgroup);
	(void)snprintf(path, sizeof(path), "%s.shims", v->cgroup);
	(void)rmdir(path);
	(void)snprintf(path, sizeof(path), "%s/branes", v->run);
	(void)rmdir(path);
	(void)rmdir(v->run);
}

static uint32_t str(struct om_bundle_w *w, const char *s)
{
	uint32_t off = 0;
	assert_int_equal(om_bundle_w_str(w, s ? s : "", &off, NULL), 0);
	return off;
}

static void add(struct om_bundle_w *w, enum om_section sec, const void *e, uint32_t n)
{
	struct om_err err = {0};
	if (n && om_bundle_w_add(w, sec, e, n, &err) < 0)
		fail_msg("section %d: %s", (int)sec, err.text);
}

/* Native architecture only; listed calls notify, everything else is allowed. */
static void filter(struct om_bundle_w *w, const uint32_t *denied)
{
	struct sock_filter f[64];
	uint32_t n = 0, count = 0;

	while (denied[count] != ~0u)
		count++;
	assert_true(count < 50);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					      offsetof(struct seccomp_data, arch));
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					      offsetof(struct seccomp_data, nr));
	for (uint32_t i = 0; i < count; i++)
		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, denied[i],
						      (uint8_t)(count - i), 0);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	add(w, OM_SEC_SECCOMP, f, n);
}

static void add_view(struct om_bundle_w *w, const struct live_brane *b)
{
	for (size_t i = 0; i < OM_ARRAY_LEN(b->mounts) && b->mounts[i].to; i++) {
		struct om_b_mount m = {
			.from = str(w, b->mounts[i].from),
			.to = str(w, b->mounts[i].to),
			.flags = b->mounts[i].flags | (b->mounts[i].from ? 0 : OM_MNT_TMPFS),
			.bytes = b->mounts[i].bytes,
		};
		add(w, OM_SEC_VIEW, &m, 1);
	}
	for (size_t i = 0; i < OM_ARRAY_LEN(b->paths) && b->paths[i]; i++) {
		struct om_b_file f = b->files[i];
		f.path = str(w, b->paths[i]);
		add(w, OM_SEC_FILES, &f, 1);
	}
}

void live_bundle(const struct live_brane *b, uint8_t **data, size_t *len)
{
	static const uint8_t id[32] = "made by hand";
	struct om_bundle_w *w = NULL;
	struct om_err err = {0};

	assert_int_equal(om_bundle_w_new(&w, &err), 0);
	struct om_b_meta m = {
		.name = str(w, b->name),
		.image_dir = str(w, b->image_dir),
		.workdir = str(w, b->workdir ? b->workdir : "/"),
		.image = b->image,
		.user = b->user,
		.layers = b->layers,
		.slot_flags = b->slot_flags,
		.stdio = b->stdio,
		.netns = b->netns,
	};
	add(w, OM_SEC_META, &m, 1);
	for (size_t i = 0; i < OM_ARRAY_LEN(b->argv) && b->argv[i]; i++) {
		uint32_t off = str(w, b->argv[i]);
		add(w, OM_SEC_ARGV, &off, 1);
	}
	for (size_t i = 0; i < OM_ARRAY_LEN(b->env) && b->env[i]; i++) {
		uint32_t off = str(w, b->env[i]);
		add(w, OM_SEC_ENV, &off, 1);
	}
	struct om_b_grant g = {.text = str(w, "filesystem.read \"/granted\""), .line = 7};
	add(w, OM_SEC_GRANTS, &g, 1);
	add_view(w, b);
	for (size_t i = 0; i < OM_ARRAY_LEN(b->cgroup) && b->cgroup[i][0]; i++) {
		struct om_b_cgroup c = {
			.file = str(w, b->cgroup[i][0]),
			.value = str(w, b->cgroup[i][1]),
			.controller = b->cgroup[i][2] ? str(w, b->cgroup[i][2]) : 0,
			.flags = b->cgroup_flags,
		};
		add(w, OM_SEC_CGROUP, &c, 1);
	}
	add(w, OM_SEC_RLIMIT, b->rlimits, b->rlimit_count);
	add(w, OM_SEC_NFT, b->nft, b->nft_count);
	add(w, OM_SEC_LISTEN, b->listen, b->listen_count);
	if (b->denied)
		filter(w, b->denied);
	if (om_bundle_w_finish(w, id, data, len, &err) < 0)
		fail_msg("bundle: %s", err.text);
	om_bundle_w_free(w);
}

int live_apply_x(struct live *v, const struct live_brane *b, bool restart, enum om_change *change,
		 struct om_brane_info *info, struct om_err *err)
{
	uint8_t *data = NULL;
	size_t len = 0;
	memset(err, 0, sizeof(*err));
	live_bundle(b, &data, &len);
	struct om_apply a = {
		.bundle = data,
		.bundle_len = len,
		.manifest = "[brane]\n",
		.manifest_len = 8,
		.stdio = {-1, -1, -1},
		.restart = restart,
	};
	int ret = om_txn_apply(v->l, &a, change, info, err);
	free(data);
	return ret;
}

int live_apply(struct live *v, const struct live_brane *b, struct om_brane_info *info,
	       struct om_err *err)
{
	enum om_change change;
	return live_apply_x(v, b, false, &change, info, err);
}

void live_wait(struct live *v, const char *name, struct om_brane_info *info)
{
	const struct timespec ms = {.tv_nsec = 2000000};
	struct om_err err = {0};
	for (int i = 0; i < 5000; i++) {
		if (om_loader_get(v->l, name, info, &err) < 0)
			fail_msg("%s: %s", name, err.text);
		if (info->state == OM_BRANE_EXITED && info->exit_cause != OM_EXIT_NONE) {
			char path[300];
			(void)snprintf(path, sizeof(path), "%s/branes/%s/exit", v->run, name);
			if (access(path, F_OK) == 0)
				return;
		}
		nanosleep(&ms, NULL);
	}
	fail_msg("%s does not end", name);
}

const char *live_text(struct live *v, const char *name, const char *file)
{
	static char buf[65536];
	struct om_err err = {0};
	OM_CLEANUP(om_close_fd) int fd = -1;
	if (om_loader_open_file(v->l, name, file, &fd, &err) < 0)
		fail_msg("%s: %s", file, err.text);
	size_t have = 0;
	ssize_t n;
	while ((n = read(fd, buf + have, sizeof(buf) - 1 - have)) > 0)
		have += (size_t)n;
	buf[have] = '\0';
	return buf;
}

const char *live_fact(const char *text, const char *key)
{
	static char value[4][4096];
	static int turn;
	size_t n = strlen(key);
	char *out = value[turn++ % 4];
	for (const char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		if (strncmp(p, key, n) == 0 && p[n] == ' ') {
			(void)snprintf(out, 4096, "%.*s", (int)strcspn(p + n + 1, "\n"), p + n + 1);
			return out;
		}
	return "";
}

struct live_brane live_inside(const struct live *v, const char *name, const char *arg,
			      const char *arg2)
{
	static char path[8][4200];
	static int turn;
	char *p = path[turn++ % 8];
	(void)snprintf(p, 4200, "%s/inside", v->helpers);
	return (struct live_brane){
		.name = name,
		.argv = {"/inside", arg, arg2},
		.env = {"COLOUR=blue"},
		.mounts = {{p, "/inside", OM_MNT_RO, 0}},
		.user = 65534,
		.layers = OM_LAYER_PROCESS,
		.stdio = OM_STDIO_OUT | OM_STDIO_ERR,
		.netns = 1,
	};
}
