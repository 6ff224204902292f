/*
 * See brane.h. Comes in: grants. Goes out: results and events. Used by tests only.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/magic.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "brane.h"

static void die(const char *what, const struct om_err *err)
{
	printf("# %s: %s (errno %d)\n", what, err ? err->text : strerror(errno), errno);
	fflush(stdout);
	abort();
}

static const char *cgroup_root(void)
{
	struct statfs fs;

	if (!statfs("/sys/fs/cgroup", &fs) && fs.f_type == CGROUP2_SUPER_MAGIC)
		return "/sys/fs/cgroup";
	return "/sys/fs/cgroup/unified";
}

static int make_cgroup(const char *path, __u64 *id)
{
	struct stat st;

	if (mkdir(path, 0755) || stat(path, &st))
		return -errno;
	*id = st.st_ino;
	return 0;
}

static int make_dir(struct tb *tb)
{
	int fd;

	snprintf(tb->dir, sizeof(tb->dir), "/tmp/omt-%d", getpid());
	snprintf(tb->secret, sizeof(tb->secret), "%s/secret", tb->dir);
	if (mkdir(tb->dir, 0755))
		return -errno;
	fd = open(tb->secret, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	(void)remove(path);
	return 0;
}

int tb_open(struct tb *tb, uint32_t layers, struct om_err *err)
{
	struct om_bpf_opts opts = {.layers = layers, .cgroup_level = 2};
	struct statfs fs;
	int ret;

	memset(tb, 0, sizeof(*tb));
	tb->parent_fd = -1;
	if (!statfs("/sys/fs/bpf", &fs) && fs.f_type != BPF_FS_MAGIC &&
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700"))
		return -errno;
	snprintf(tb->bpffs, sizeof(tb->bpffs), "/sys/fs/bpf/omt-%d", getpid());
	snprintf(tb->parent, sizeof(tb->parent), "%s/omt-%d", cgroup_root(), getpid());
	snprintf(tb->cgroup, sizeof(tb->cgroup), "%s/b", tb->parent);
	ret = make_dir(tb);
	if (ret)
		return om_err_sys(err, OM_ERR_IO, ret, "%s", tb->dir);
	ret = make_cgroup(tb->parent, &tb->parent_cgid);
	if (!ret)
		ret = make_cgroup(tb->cgroup, &tb->slot.cgid);
	if (ret)
		return om_err_sys(err, OM_ERR_CGROUP, ret, "%s", tb->cgroup);
	tb->parent_fd = open(tb->parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tb->objs = calloc(TB_OBJECTS_MAX, sizeof(*tb->objs));
	opts.bpffs = tb->bpffs;
	opts.parent_fd = tb->parent_fd;
	opts.parent_cgid = tb->parent_cgid;
	ret = om_bpf_open(&opts, &tb->bpf, &tb->got, err);
	if (ret)
		return ret;
	return om_bpf_brane_new(tb->bpf, &tb->slot.brane, err);
}

static void remove_cgroup(const char *path)
{
	char kill_path[256];
	int fd;

	snprintf(kill_path, sizeof(kill_path), "%s/cgroup.kill", path);
	fd = open(kill_path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		(void)!write(fd, "1", 1);
		close(fd);
	}
	for (int i = 0; i < 200 && rmdir(path) && errno == EBUSY; i++) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		usleep(5000);
	}
}

void tb_close(struct tb *tb)
{
	struct om_err err;

	if (tb->ring)
		ring_buffer__free(tb->ring);
	om_bpf_free(tb->bpf);
	if (tb->bpffs[0] && om_bpf_unload(tb->bpffs, &err))
		printf("# unload: %s\n", err.text);
	if (tb->cgroup[0]) {
		remove_cgroup(tb->cgroup);
		remove_cgroup(tb->parent);
	}
	if (tb->parent_fd >= 0)
		close(tb->parent_fd);
	if (tb->dir[0])
		nftw(tb->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(tb->bundle_data);
	free(tb->objs);
	memset(tb, 0, sizeof(*tb));
}

char *tb_at(const struct tb *tb, const char *name)
{
	static char buf[8][256];
	static int turn;
	char *out = buf[turn++ & 7];

	snprintf(out, sizeof(buf[0]), "%s/%s", tb->dir, name);
	return out;
}

void tb_put(const struct tb *tb, const char *name, const char *text, mode_t mode)
{
	struct om_err err = {0};
	int fd = open(tb_at(tb, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		die(name, &err);
	close(fd);
}

int tb_read(void *arg)
{
	char c;
	int fd = open(arg, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? errno : read(fd, &c, 1) == 1 ? 0 : 200;
}

void tb_grant(struct tb *tb, const char *path, uint32_t self, uint32_t tree)
{
	struct om_resolved *r = &tb->objs[tb->n++];
	struct om_err err;
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		die(path, NULL);
	if (tb->n > TB_OBJECTS_MAX || om_bpf_object_key(tb->bpf, fd, &r->key, &err))
		die(path, &err);
	close(fd);
	r->val.self = self;
	r->val.tree = tree;
	r->val.grant = tb->n;
}

void tb_pattern(struct tb *tb, const char *dir, const char *prefix, const char *suffix, int exact,
		uint32_t may)
{
	struct om_resolved *r = &tb->objs[tb->n];
	struct om_pattern *p = &r->patterns[0];

	tb_grant(tb, dir, 0, 0);
	r->val.patterns = 1;
	p->mask = may;
	p->exact = (uint32_t)exact;
	p->prefix_len = (uint16_t)strlen(prefix);
	p->suffix_len = (uint16_t)strlen(suffix);
	memcpy(p->prefix, prefix, p->prefix_len);
	memcpy(p->suffix, suffix, p->suffix_len);
}

void tb_egress(struct tb *tb, const char *net, uint8_t bits, uint8_t proto, uint16_t port)
{
	struct om_b_egress *e = &tb->egress[tb->egress_n++];

	e->proto = proto;
	e->port = port;
	e->grant = tb->egress_n;
	if (inet_pton(AF_INET, net, e->addr + 12) == 1) {
		e->addr[10] = e->addr[11] = 0xff;
		e->bits = (uint8_t)(96 + bits);
	} else if (inet_pton(AF_INET6, net, e->addr) == 1) {
		e->bits = bits;
	} else {
		die(net, NULL);
	}
}

void tb_listen(struct tb *tb, uint8_t proto, uint16_t port)
{
	struct om_b_listen *l = &tb->listen[tb->listen_n++];

	l->proto = proto;
	l->port = port;
	l->grant = tb->listen_n;
}

static int order_egress(const void *a, const void *b)
{
	return memcmp(a, b, offsetof(struct om_b_egress, grant));
}

static void make_bundle(struct tb *tb)
{
	struct om_b_meta meta = {0};
	static const uint8_t id[32];
	struct om_bundle_w *w;
	struct om_err err;
	uint32_t off;
	size_t len;
	/* Every grant index must name a grant. */
	struct om_b_grant grants[64] = {0};

	free(tb->bundle_data);
	tb->bundle_data = NULL;
	qsort(tb->egress, tb->egress_n, sizeof(tb->egress[0]), order_egress);
	if (om_bundle_w_new(&w, &err) || om_bundle_w_str(w, "t", &meta.name, &err) ||
	    om_bundle_w_str(w, "/", &meta.workdir, &err) || om_bundle_w_str(w, "grant", &off, &err))
		die("bundle", &err);
	for (size_t i = 0; i < OM_ARRAY_LEN(grants); i++)
		grants[i] = (struct om_b_grant){.text = off, .line = (uint32_t)i + 1};
	if (om_bundle_w_add(w, OM_SEC_META, &meta, 1, &err) ||
	    om_bundle_w_add(w, OM_SEC_GRANTS, grants, 64, &err) ||
	    om_bundle_w_add(w, OM_SEC_EGRESS, tb->egress, tb->egress_n, &err) ||
	    om_bundle_w_add(w, OM_SEC_LISTEN, tb->listen, tb->listen_n, &err) ||
	    om_bundle_w_finish(w, id, &tb->bundle_data, &len, &err) ||
	    om_bundle_open(tb->bundle_data, len, &tb->bundle, &err))
		die("bundle", &err);
	om_bundle_w_free(w);
}

void tb_publish(struct tb *tb, uint32_t flags)
{
	uint32_t old = tb->slot.policy;
	struct om_err err;

	make_bundle(tb);
	if (om_bpf_policy_new(tb->bpf, tb->objs, tb->n, &tb->slot.policy, &err) ||
	    om_bpf_policy_fill(tb->bpf, tb->slot.policy, &tb->bundle, tb->objs, tb->n, &err) ||
	    om_bpf_policy_verify(tb->bpf, tb->slot.policy, &tb->bundle, tb->objs, tb->n, &err))
		die("policy", &err);
	tb->slot.flags = flags;
	if (om_bpf_brane_publish(tb->bpf, &tb->slot, &err))
		die("publish", &err);
	if (old && om_bpf_policy_drop(tb->bpf, old, &err))
		die("drop", &err);
}

void tb_enter(const char *cgroup)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		die(path, NULL);
	close(fd);
}

pid_t tb_spawn(struct tb *tb, int (*fn)(void *arg), void *arg)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork", NULL);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	tb_enter(tb->cgroup);
	_exit(fn(arg));
}

int tb_wait(pid_t pid)
{
	int st;

	while (waitpid(pid, &st, 0) != pid)
		if (errno != EINTR)
			die("waitpid", NULL);
	return WIFEXITED(st) ? WEXITSTATUS(st) : -1;
}

int tb_run(struct tb *tb, int (*fn)(void *arg), void *arg)
{
	return tb_wait(tb_spawn(tb, fn, arg));
}

static int take_event(void *ctx, void *data, size_t len)
{
	struct tb *tb = ctx;
	const struct om_event_head *head = data;

	if (len < sizeof(struct om_event) || head->brane != tb->slot.brane)
		return 0;
	if (tb->events_n < TB_EVENTS_MAX) {
		struct om_event_path *e = &tb->events[tb->events_n];

		memset(e, 0, sizeof(*e));
		memcpy(e, data, len < sizeof(*e) ? len : sizeof(*e));
	}
	tb->events_n++;
	return 0;
}

uint32_t tb_events(struct tb *tb)
{
	struct om_bpf_drain_fds fds;

	if (!tb->ring) {
		om_bpf_drain_fds(tb->bpf, &fds);
		tb->ring = ring_buffer__new(fds.events, take_event, tb, NULL);
		if (!tb->ring)
			die("ring buffer", NULL);
	}
	tb->events_n = 0;
	if (ring_buffer__consume(tb->ring) < 0)
		die("ring buffer", NULL);
	return tb->events_n;
}

void tb_stat(struct tb *tb, struct om_stat *out)
{
	struct om_bpf_drain_fds fds;

	om_bpf_drain_fds(tb->bpf, &fds);
	if (bpf_map_lookup_elem(fds.stats, &tb->slot.brane, out))
		die("om_stats", NULL);
}

int tb_map(const char *path)
{
	return bpf_obj_get(path);
}

int tb_map_get(int map, const void *key, void *value)
{
	return bpf_map_lookup_elem(map, key, value);
}

int tb_map_put(int map, const void *key, const void *value)
{
	return bpf_map_update_elem(map, key, value, BPF_ANY);
}

int tb_map_drop(int map, const void *key)
{
	return bpf_map_delete_elem(map, key);
}

const char *tb_event_path(const struct om_event_path *e)
{
	static char out[OM_EVENT_PATH_MAX + 2];
	size_t at = 0, end = e->path_len;

	if (e->head.body != OM_BODY_PATH)
		return "";
	if (e->head.flags & OM_EVENT_ABSOLUTE) {
		memcpy(out, e->path, e->path_len);
		out[e->path_len] = '\0';
		return out;
	}
	while (end > 0) {
		size_t start = --end;

		while (start > 0 && e->path[start - 1] != '/')
			start--;
		out[at++] = '/';
		memcpy(out + at, e->path + start, end - start);
		at += end - start;
		end = start;
	}
	out[at] = '\0';
	return out;
}

int tb_expect(struct tb *tb, const char *what, int (*fn)(void *arg), void *arg, int result,
	      uint32_t count, uint16_t op, const char *hook)
{
	int ok, got;

	(void)tb_events(tb);
	got = tb_run(tb, fn, arg);
	(void)tb_events(tb);
	ok = got == result && tb->events_n == count &&
	     (!count || (tb->events[0].head.op == op &&
			 (!hook || !strncmp(tb->events[0].head.hook, hook,
					    sizeof(tb->events[0].head.hook)))));
	if (ok)
		return 1;
	printf("# %s: result %d, want %d; %u events, want %u of op %u at %s\n", what, got, result,
	       tb->events_n, count, op, hook ? hook : "-");
	for (uint32_t i = 0; i < tb->events_n && i < TB_EVENTS_MAX; i++) {
		const struct om_event_path *e = &tb->events[i];

		printf("#   op %u at %.24s need %#x flags %#x %s\n", e->head.op, e->head.hook,
		       e->head.need, e->head.flags, tb_event_path(e));
	}
	return 0;
}

/* --- floods --- */

struct shared {
	uint64_t wrong[FLOOD_TASKS];
	uint32_t done; /* tasks that went through all of theirs */
};

struct task {
	struct flood *f;
	struct shared *s;
	uint64_t each;
	uint32_t at;
	int gate;
};

struct reader {
	struct flood *f;
	uint32_t brane;
	uint64_t *seen; /* a bit for each number */
};

uint64_t flood_total(uint64_t n)
{
	const char *text = getenv("OMEGA_FLOOD");
	uint64_t v = text ? strtoull(text, NULL, 10) : 0;

	return v ? v : n;
}

static int in_task(void *arg)
{
	struct task *t = arg;
	char c;

	/* All begin when the parent lets go of the other end. */
	if (read(t->gate, &c, 1) != 0)
		return 1;
	t->s->wrong[t->at] = t->f->work(t->each, t->f->arg);
	__sync_fetch_and_add(&t->s->done, 1);
	return 0;
}

static int on_record(void *ctx, void *data, size_t len)
{
	const struct om_event_head *head = data;
	struct reader *r = ctx;
	uint64_t at, bit;

	if (len < sizeof(*head) || head->brane != r->brane)
		return 0;
	r->f->records++;
	at = head->seq - r->f->before.seq;
	bit = 1ull << (at & 63);
	if (head->op != r->f->op || at >= r->f->total) {
		r->f->strange++;
	} else {
		r->f->twice += (r->seen[at / 64] & bit) != 0;
		r->seen[at / 64] |= bit;
	}
	return 0;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void flood_run(struct tb *tb, struct flood *f)
{
	struct shared *s =
		mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct reader r = {.f = f, .brane = tb->slot.brane};
	struct task t = {.f = f, .s = s, .each = f->total / FLOOD_TASKS};
	struct om_bpf_drain_fds fds;
	struct ring_buffer *ring;
	pid_t pids[FLOOD_TASKS];
	int gate[2];

	(void)tb_events(tb);
	tb_stat(tb, &f->before);
	f->records = f->twice = f->strange = f->wrong = 0;
	f->made = t.each * FLOOD_TASKS;
	r.seen = calloc(f->total / 64 + 1, sizeof(*r.seen));
	om_bpf_drain_fds(tb->bpf, &fds);
	ring = ring_buffer__new(fds.events, on_record, &r, NULL);
	if (s == MAP_FAILED || !r.seen || !ring || pipe(gate))
		die("flood", NULL);
	t.gate = gate[0];
	for (uint32_t i = 0; i < FLOOD_TASKS; i++) {
		t.at = i;
		/* A child that kept the writing end would never see it closed. */
		pids[i] = fork();
		if (!pids[i]) {
			close(gate[1]);
			tb_enter(tb->cgroup);
			_exit(in_task(&t));
		}
		if (pids[i] < 0)
			die("fork", NULL);
	}
	f->seconds = now();
	close(gate[1]);
	while (f->drain && __sync_fetch_and_add(&s->done, 0) < FLOOD_TASKS)
		if (ring_buffer__poll(ring, 10) < 0)
			die("ring buffer", NULL);
	for (uint32_t i = 0; i < FLOOD_TASKS; i++)
		f->wrong += tb_wait(pids[i]) ? t.each : s->wrong[i];
	f->seconds = now() - f->seconds;
	if (ring_buffer__consume(ring) < 0)
		die("ring buffer", NULL);
	tb_stat(tb, &f->after);
	ring_buffer__free(ring);
	close(gate[0]);
	free(r.seen);
	munmap(s, sizeof(*s));
}

static uint64_t full_of(const struct om_stat *st)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < OM_FULL_LAYERS; i++)
		for (uint32_t k = 0; k < OM_FULL_OPS; k++)
			n += st->full[i][k].count;
	return n;
}

int flood_adds_up(const struct flood *f)
{
	uint64_t seq = f->after.seq - f->before.seq, events = f->after.events - f->before.events,
		 folded = f->after.folded - f->before.folded,
		 full = full_of(&f->after) - full_of(&f->before),
		 lost = f->after.lost - f->before.lost;

	printf("# %u tasks, %llu denials in %.2f s, %.0f a second, ring %s: %llu records, %llu "
	       "counted, %llu lost, %llu wrong verdicts\n",
	       FLOOD_TASKS, (unsigned long long)f->made, f->seconds, (double)f->made / f->seconds,
	       f->drain ? "read meanwhile" : "read afterwards", (unsigned long long)f->records,
	       (unsigned long long)folded, (unsigned long long)lost, (unsigned long long)f->wrong);
	if (!f->wrong && !f->twice && !f->strange && seq == f->made && events == f->records &&
	    full == folded && !lost && f->records + folded == f->made)
		return 1;
	printf("# seq %llu, events %llu, in full counters %llu, twice %llu, strange %llu\n",
	       (unsigned long long)seq, (unsigned long long)events, (unsigned long long)full,
	       (unsigned long long)f->twice, (unsigned long long)f->strange);
	return 0;
}
