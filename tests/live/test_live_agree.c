/*
 * The third way: for each vector of tests/vectors/manifests a real workload, in a brane loaded through
 * the transaction, makes every request, and the kernel's answer is that of the interpreter, of the
 * simulated artifacts and of the file. Then each denial has left one event, and nothing else has any.
 *
 * A vector runs as it is written, but in an image of the test's own and with the helper executable;
 * the interpreter confirms that this changes no verdict. Then it runs again with layers left out: who
 * is left decides alike and records once; what only a missing layer decides is counted, not compared.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <omega/compiler.h>
#include <policies/policy.h>
#include <policies/profiles/syscalls.h>
#include "tests/util/scene.h"
#include "tests/util/steps.h"

#define FOLDER	     "tests/vectors/manifests"
#define REQUESTS_MAX 64u

struct vector {
	const char *folder;
	char text[OM_MANIFEST_BYTES_MAX], list[OM_MANIFEST_BYTES_MAX];
	uint32_t count;
	char *line[REQUESTS_MAX];
	bool want[REQUESTS_MAX];
	struct om_request req[REQUESTS_MAX];
	bool sim[REQUESTS_MAX]; /* what the artifacts of the vector as written say */
};

/* Compiled: of the vector as written, or of what runs. */
struct made {
	struct om_policy *p;
	uint8_t *data;
	size_t len;
	struct om_bundle b;
};

static struct live live;
static struct scene scene;
static struct steps steps;
static uint32_t layers; /* of this pass */
static struct {
	uint32_t manifests, requests, compared, needs_more, refused, events;
	uint32_t no_name, vacuous, direct, wrong;
} sum;

static void made_done(struct made *m)
{
	free(m->data);
	om_policy_free(m->p);
	*m = (struct made){0};
}

static void read_file(const char *folder, const char *name, char *buf)
{
	char path[1400];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *f = fopen(path, "re");
	if (!f)
		fail_msg("cannot read %s", path);
	buf[fread(buf, 1, OM_MANIFEST_BYTES_MAX - 1, f)] = '\0';
	(void)fclose(f);
}

static void load(struct vector *v, const char *folder)
{
	char *save = NULL;

	v->folder = folder + strlen(FOLDER) + 1;
	v->count = 0;
	read_file(folder, "brane.toml", v->text);
	read_file(folder, "requests", v->list);
	for (char *l = strtok_r(v->list, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		char *arrow = strstr(l, " -> ");
		if (*l == '#')
			continue;
		assert_non_null(arrow);
		assert_true(v->count < REQUESTS_MAX);
		*arrow = '\0';
		v->line[v->count] = l;
		v->want[v->count] = strcmp(arrow + 4, "allow") == 0;
		assert_int_equal(om_request_parse(l, strlen(l), &v->req[v->count++], NULL), 0);
	}
}

static bool compile(struct made *m, const char *text, struct om_err *err)
{
	struct om_diags d;

	om_diags_init(&d);
	int ret = om_policy_compile(text, strlen(text), &m->p, &d, err);
	om_diags_done(&d);
	return ret >= 0;
}

static void emit(struct made *m)
{
	struct om_err err = {0};

	if (om_emit_bundle(om_policy_ir(m->p, 0), &m->data, &m->len, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(om_bundle_open(m->data, m->len, &m->b, NULL), 0);
}

static void wrong(const struct vector *v, uint32_t i, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void wrong(const struct vector *v, uint32_t i, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	print_message("# %s: %s: %s\n", v->folder, v->line[i], text);
	sum.wrong++;
}

/* The two ways that need no kernel, on the vector as written and on what will run. */
static void check_paper(struct vector *v, const struct made *plain, const struct made *run)
{
	for (uint32_t i = 0; i < v->count; i++) {
		struct om_verdict a, b;
		struct om_sim_result s;

		om_engine_decide(om_policy_ir(plain->p, 0), &v->req[i], &a);
		om_engine_decide(om_policy_ir(run->p, 0), &v->req[i], &b);
		om_sim_decide(&plain->b, &v->req[i], &s);
		v->sim[i] = s.allow;
		if (a.allow != v->want[i] || b.allow != v->want[i] || s.allow != v->want[i])
			wrong(v, i, "expected %d, interpreter %d (%d as run), artifacts %d",
			      v->want[i], a.allow, b.allow, s.allow);
	}
}

/*
 * "syscall NAME" by its number here; the helper has no table of all names. Where arguments decide, they
 * are those by which the profile answers "may it be made at all?".
 */
static const char *helper_text(const struct vector *v, uint32_t i, char *buf, size_t size)
{
	int nr = v->req[i].op == OM_OP_SYSCALL ? om_sys_nr(v->req[i].text) : -1;

	/* The content is the scene's to arrange, not the workload's to say. */
	if (v->req[i].has_sha256) {
		(void)snprintf(buf, size, "file.exec %.120s", v->req[i].text);
		return buf;
	}
	const struct om_sys_rule *rule = om_sys_rule(nr);

	if (nr < 0)
		return v->line[i];
	int n = snprintf(buf, size, "syscall %d", nr);
	for (uint32_t k = 0; rule && k < OM_ARRAY_LEN(rule->example); k++)
		n += snprintf(buf + n, size - (size_t)n, " %llu",
			      (unsigned long long)rule->example[k]);
	return buf;
}

static void set_command(const struct vector *v, struct made *m)
{
	static char buf[REQUESTS_MAX][160];
	const char *argv[REQUESTS_MAX + 2] = {SCENE_HELPER, "--step"};
	struct om_err err = {0};

	for (uint32_t i = 0; i < v->count; i++)
		argv[i + 2] = helper_text(v, i, buf[i], sizeof(buf[i]));
	if (om_policy_set_command(m->p, 0, argv, v->count + 2, &err) < 0)
		fail_msg("%s: %s", v->folder, err.text);
}

static void describe(const struct step *t, char *out, size_t size)
{
	int n = snprintf(out, size, "%u events, %u repeats, %llu decided", t->events, t->folded,
			 (unsigned long long)t->decided);

	for (uint32_t i = 0; i < t->events && i < STEPS_EVENTS_MAX && n < (int)size; i++) {
		const struct om_decoded *d = &steps.events[i];
		n += snprintf(out + n, size - (size_t)n, "; %s %s %.24s %.*s%s", d->row->op,
			      d->layer, d->head.hook, (int)d->obj_len, d->obj,
			      d->allowed ? " allowed" : "");
	}
}

static bool is_file(enum om_op op)
{
	return op >= OM_OP_FILE_READ && op <= OM_OP_FILE_EXEC;
}

/* Whether D names a directory at or above PATH. */
static bool covers(const struct om_decoded *d, const char *path)
{
	return memcmp(d->obj, path, OM_MIN(d->obj_len, strlen(path))) == 0 &&
	       (d->obj_len <= 1 || path[d->obj_len] == '/' || path[d->obj_len] == '\0');
}

/*
 * Whether an event is the record of this request, which ended with ERR. A read-only mount knows a path
 * only where a file is opened; else it names itself.
 */
static bool fits(const struct om_request *req, const struct om_decoded *d, int err)
{
	size_t n = strlen(req->text);

	switch ((int)d->head.where) {
	case OM_WHERE_VIEW:
		if (err == EROFS)
			return is_file(req->op) && d->head.op == OM_OP_FILE_WRITE &&
			       covers(d, req->text);
		return is_file(req->op) && d->head.op == OM_OP_FILE_ABSENT && d->obj_len == n &&
		       memcmp(d->obj, req->text, n) == 0;
	case OM_WHERE_SECCOMP:
		if (req->op == OM_OP_MEM_EXEC)
			return d->obj_len == 8 && memcmp(d->obj, "mprotect", 8) == 0;
		return req->op == OM_OP_SYSCALL && d->obj_len == n &&
		       memcmp(d->obj, req->text, n) == 0;
	case OM_WHERE_LSM:
		if (is_file(req->op))
			return d->head.op == req->op && d->obj_len == n &&
			       memcmp(d->obj, req->text, n) == 0;
		break;
	default:
		break;
	}
	return d->head.op == req->op;
}

/*
 * Denied before anything could see it, or without anything being asked: nothing is there to record.
 *   EEXIST, ENOTDIR  what is asked for cannot be done to what is there, whatever the policy
 *   ENOSYS           answered by the filter itself, as healthy programs expect
 *   ENOENT           of a name to remove: looked up in its directory, past the programs of the view
 */
static bool unrecorded(const struct om_request *req, const struct step *t)
{
	if (t->events || t->folded)
		return false;
	if (req->op == OM_OP_ENV || req->op == OM_OP_STDIO)
		return true;
	if (is_file(req->op) && (t->err == EEXIST || t->err == ENOTDIR))
		return ++sum.vacuous;
	if (req->op == OM_OP_SYSCALL && t->err == ENOSYS)
		return ++sum.direct;
	if (req->op == OM_OP_FILE_REMOVE && t->err == ENOENT)
		return ++sum.no_name;
	return false;
}

static void check_record(const struct vector *v, uint32_t i, const struct made *run,
			 const struct step *t, bool denied)
{
	const struct om_request *req = &v->req[i];
	const struct om_decoded *d = &steps.events[0];
	struct om_sim_result s;
	char text[512];

	describe(t, text, sizeof(text));
	if (!denied) {
		if (t->events || t->folded || t->decided)
			wrong(v, i, "allowed, and yet: %s", text);
		return;
	}
	if (unrecorded(req, t))
		return;
	om_sim_decide(&run->b, req, &s);
	/* A path that was missed before is counted from then on. */
	if (t->events == 0 && t->folded == 1 && s.where == OM_WHERE_VIEW)
		return;
	sum.events += t->events;
	if (t->events != 1 || t->folded)
		wrong(v, i, "denied with %s, not one event: %s", strerrorname_np(t->err), text);
	else if (!fits(req, d, t->err))
		wrong(v, i, "recorded as something else: %s", text);
	else if (d->head.where != s.where)
		wrong(v, i, "recorded by another layer than %s: %s", om_where_name(s.where), text);
}

/*
 * Whether a layer that this pass leaves out decides. The artifacts say so, but for directories that
 * lead to a granted path: only BPF-LSM keeps them from being listed.
 */
static bool another_decides(const struct made *run, const struct om_request *req, bool want)
{
	uint32_t n = 0;
	const struct om_b_mount *m = om_bundle_section(&run->b, OM_SEC_VIEW, &n);
	size_t len = strlen(req->text);
	struct om_sim_result s;

	om_sim_decide(&run->b, req, &s);
	if (s.allow != want)
		return true;
	if (layers & OM_LAYER_KERNEL || req->op != OM_OP_FILE_READ || want)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		const char *to = om_bundle_str(&run->b, m[i].to);
		if (len == 1 || (strncmp(to, req->text, len) == 0 && to[len] == '/'))
			return true;
	}
	return false;
}

/* Whether a layer of this pass is a witness of the request. */
static bool has_witness(const struct om_request *req)
{
	if (req->op == OM_OP_NET_CONNECT || req->op == OM_OP_NET_LISTEN)
		return layers & (OM_LAYER_KERNEL | OM_LAYER_NETWORK);
	return layers & (is_file(req->op) ? OM_LAYER_KERNEL : OM_LAYER_PROCESS);
}

static void check_step(const struct vector *v, uint32_t i, const struct made *run,
		       const struct step *t)
{
	const struct om_ir *ir = om_policy_ir(run->p, 0);
	bool reached = scene_reached(&scene, v->want[i]), allow = t->err == 0;
	char text[512];

	sum.requests++;
	if (t->err < 0)
		return; /* no such call: nothing to try */
	if (another_decides(run, &v->req[i], v->want[i])) {
		sum.needs_more++;
		return;
	}
	sum.compared++;
	/* Audit mode lets happen what it records; only what is not there stays away. */
	bool audit = ir->mode == OM_MODE_AUDIT;
	if (!audit && (allow != v->want[i] || reached != v->want[i])) {
		describe(t, text, sizeof(text));
		wrong(v, i, "expected %s, interpreter the same, artifacts %s, kernel %s (%s%s); %s",
		      v->want[i] ? "allow" : "deny", v->sim[i] ? "allow" : "deny",
		      allow ? "allow" : "deny", allow ? "0" : strerrorname_np(t->err),
		      reached != v->want[i] ? ", but the packets say otherwise" : "", text);
		return;
	}
	if (has_witness(&v->req[i]))
		check_record(v, i, run, t, !v->want[i]);
}

static void run_vector(const struct vector *v, const struct made *run)
{
	struct om_err err = {0};
	struct step t;
	int in[2];

	scene_make(&scene, om_policy_ir(run->p, 0), &run->b, v->req, v->count);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	struct om_apply a = {.bundle = run->data, .bundle_len = run->len, .stdio = {in[0], -1, -1}};
	int ret = steps_start(&steps, &a, &err);
	if (ret < 0 && live.got == OM_LAYER_ALL)
		fail_msg("%s: %s", v->folder, err.text);
	if (ret < 0) {
		/* A host without controllers, say: the virtual machine has everything. */
		print_message("# %s cannot run here: %s\n", v->folder, err.text);
		sum.refused++;
		close(in[0]);
		close(in[1]);
		return;
	}
	for (uint32_t i = 0; i < v->count; i++) {
		scene_set(&scene, &run->b, &v->req[i]);
		if (!steps_next(&steps, &t))
			fail_msg("%s: %s: the workload is gone", v->folder, v->line[i]);
		check_step(v, i, run, &t);
	}
	sum.manifests++;
	steps_end(&steps);
	close(in[0]);
	close(in[1]);
}

static void check_vector(const char *folder)
{
	static struct vector v;
	OM_CLEANUP(made_done) struct made plain = {0};
	OM_CLEANUP(made_done) struct made run = {0};
	char words[64];
	struct om_err err = {0};

	load(&v, folder);
	if (!compile(&plain, v.text, &err))
		fail_msg("%s: %s", v.folder, err.text);
	emit(&plain);
	(void)snprintf(words, sizeof(words), "[\"process\"%s%s]",
		       layers & OM_LAYER_KERNEL ? ", \"kernel\"" : "",
		       layers & OM_LAYER_NETWORK ? ", \"network\"" : "");
	OM_CLEANUP(om_free_ptr)
	char *text = scene_variant(&scene, v.text, layers == OM_LAYER_ALL ? NULL : words);
	if (!compile(&run, text, &err)) {
		/* What only a missing layer could enforce is refused. */
		if (layers == OM_LAYER_ALL || err.id != OM_ERR_CAP_LAYER)
			fail_msg("%s: %s\n%s", v.folder, err.text, text);
		sum.refused++;
		sum.needs_more += v.count;
		return;
	}
	set_command(&v, &run);
	emit(&run);
	check_paper(&v, &plain, &run);
	run_vector(&v, &run);
}

static void each(const char *folder, void (*fn)(const char *))
{
	struct dirent **list;
	int n = scandir(folder, &list, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		char path[1300];
		(void)snprintf(path, sizeof(path), "%s/%s", folder, list[i]->d_name);
		if (list[i]->d_name[0] != '.')
			fn(path);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

static void check_capability(const char *folder)
{
	each(folder, check_vector);
}

/* One pass over all vectors; the disagreements are on the way out already. */
static void agree(uint32_t with)
{
	if (!live.l) {
		print_message("# skip: not root: branes cannot be made\n");
		skip();
	}
	if ((live.got & with) != with) {
		print_message("# skip: %s\n",
			      om_loader_why(live.l, with & ~live.got & OM_LAYER_KERNEL
							    ? OM_LAYER_KERNEL
							    : OM_LAYER_NETWORK));
		skip();
	}
	memset(&sum, 0, sizeof(sum));
	layers = with;
	each(FOLDER, check_capability);
	print_message("# %u manifests, %u requests: %u compared, %u need another layer; "
		      "%u manifests not run\n",
		      sum.manifests, sum.requests, sum.compared, sum.needs_more, sum.refused);
	print_message("# %u events; without one: %u removals of nothing, "
		      "%u impossible anyway, %u answered ENOSYS by the filter\n",
		      sum.events, sum.no_name, sum.vacuous, sum.direct);
	assert_true(sum.compared > 0);
	assert_int_equal(sum.wrong, 0);
}

static void all_layers(void **state)
{
	(void)state;
	agree(OM_LAYER_ALL);
}

static void without_network(void **state)
{
	(void)state;
	agree(OM_LAYER_PROCESS | OM_LAYER_KERNEL);
}

static void without_kernel(void **state)
{
	(void)state;
	agree(OM_LAYER_PROCESS | OM_LAYER_NETWORK);
}

static void process_alone(void **state)
{
	(void)state;
	agree(OM_LAYER_PROCESS);
}

/* One loader for all: on an emulated processor its programs take longest. */
static int open_all(void **state)
{
	static char helper[3200];

	(void)state;
	if (geteuid() != 0)
		return 0;
	scene_open(&scene, helper);
	live_open(&live, OM_LAYER_ALL);
	(void)snprintf(helper, sizeof(helper), "%.3000s/reach", live.helpers);
	steps_open(&steps, &live);
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	if (!live.l)
		return 0;
	steps_close(&steps);
	live_close(&live);
	scene_close(&scene);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_layers),
		cmocka_unit_test(without_network),
		cmocka_unit_test(without_kernel),
		cmocka_unit_test(process_alone),
	};

	return cmocka_run_group_tests_name("live agree", tests, open_all, close_all);
}
