/*
 * compile: what each layer would enforce, as files.
 *
 * Comes in: a manifest, a folder's name. Goes out: for each brane bundle.bin, policy-id and a text file
 * for each layer. Called by: main. Never does: write anything when one brane does not compile, or
 * follow a symlink that somebody left in the folder.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include "agent/ctl/command.h"
#include "agent/ctl/lib/layers.h"
#include "agent/ctl/lib/out.h"
#include "agent/ctl/lib/source.h"

static int make_dir(int at, const char *name, int *fd, struct om_err *err)
{
	if (mkdirat(at, name, 0777) < 0 && errno != EEXIST)
		return om_err_sys(err, OM_ERR_IO, -errno, "cannot make %s", name);
	*fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0)
		return om_err_sys(err, OM_ERR_IO, -errno, "%s", name);
	return 0;
}

static int open_new(int dir, const char *name, FILE **out, struct om_err *err)
{
	OM_CLEANUP(om_close_fd)
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);

	*out = fd < 0 ? NULL : fdopen(fd, "w");
	if (!*out)
		return om_err_sys(err, OM_ERR_IO, -errno, "cannot write %s", name);
	fd = -1;
	return 0;
}

static int finish(FILE *f, const char *name, struct om_err *err)
{
	int bad = fflush(f) != 0 || ferror(f), e = errno;

	if (fclose(f) != 0 || bad)
		return om_err_sys(err, OM_ERR_IO, -(bad ? e : errno), "cannot write %s", name);
	return 0;
}

static int write_brane(int dir, const struct om_ir *ir, struct om_err *err)
{
	OM_CLEANUP(om_close_fd) int fd = -1;
	OM_CLEANUP(om_free_ptr) uint8_t *data = NULL;
	struct om_bundle b;
	char id[65];
	size_t len;
	FILE *f;
	int ret = om_emit_bundle(ir, &data, &len, err);

	if (!ret)
		ret = om_bundle_open(data, len, &b, err);
	if (!ret)
		ret = make_dir(dir, ir->name, &fd, err);
	for (const struct om_layer_text *t = om_layer_texts; t->file && !ret; t++) {
		ret = open_new(fd, t->file, &f, err);
		if (ret)
			break;
		t->put(&b, f);
		ret = finish(f, t->file, err);
	}
	if (!ret)
		ret = open_new(fd, "bundle.bin", &f, err);
	if (!ret) {
		fwrite(data, 1, len, f);
		ret = finish(f, "bundle.bin", err);
	}
	if (!ret)
		ret = open_new(fd, "policy-id", &f, err);
	if (!ret) {
		om_ctl_hex(ir->policy_id, id);
		fprintf(f, "%s\n", id);
		ret = finish(f, "policy-id", err);
	}
	return ret;
}

/* Emits every brane once before the first file is written. */
static int try_all(const struct om_policy *p, struct om_err *err)
{
	for (uint32_t i = 0; i < om_policy_count(p); i++) {
		OM_CLEANUP(om_free_ptr) uint8_t *data = NULL;
		size_t len;
		int ret = om_emit_bundle(om_policy_ir(p, i), &data, &len, err);

		if (ret < 0) {
			om_err_prefix(err, "brane %s", om_policy_ir(p, i)->name);
			return ret;
		}
	}
	return 0;
}

static int report(const struct om_ctl *ctl, const struct om_sources *s, const char *dir,
		  struct om_err *err)
{
	json_t *out = om_ctl_json_new(), *list = json_array();
	bool json = ctl->format == CTL_JSON || ctl->format == CTL_JSONL;

	for (uint32_t i = 0; i < s->count; i++) {
		const struct om_policy *p = s->items[i].policy;

		for (uint32_t k = 0; k < om_policy_count(p); k++) {
			const struct om_ir *ir = om_policy_ir(p, k);
			char id[65];

			om_ctl_hex(ir->policy_id, id);
			json_array_append_new(list, json_pack("{s:s,s:s,s:o}", "name", ir->name,
							      "policy_id", id, "dir",
							      om_ctl_json_text(dir)));
			if (!json) {
				printf("brane/%s compiled to ", ir->name);
				om_ctl_put(stdout, dir, strlen(dir));
				printf("/%s (policy %s)\n", ir->name, id);
			}
		}
	}
	json_object_set_new(out, "branes", list);
	if (json)
		return om_ctl_json(out, false, err);
	json_decref(out);
	return 0;
}

int cmd_compile(struct om_ctl *ctl, const struct om_args *a)
{
	OM_CLEANUP(om_sources_done) struct om_sources s = {0};
	const char *file = om_args_value(a, "file", a->npos ? a->pos[0] : NULL);
	const char *out = om_args_value(a, "out", NULL);
	OM_CLEANUP(om_close_fd) int dir = -1;
	struct om_err err = {0};
	int ret;

	if (!file || !out) {
		om_err_set(&err, OM_ERR_USAGE, -EINVAL, "compile: name %s",
			   file ? "the folder to write to with -o DIR" : "a manifest");
		return om_ctl_fail(ctl, &err);
	}
	ret = om_sources_read(&s, file, &err);
	if (ret < 0)
		return om_ctl_fail(ctl, &err);
	ret = om_sources_compile(&s, &err);
	for (uint32_t i = 0; i < s.count; i++)
		om_source_print(ctl, &s.items[i], stderr, ctl->color_err);
	if (ret == -EINVAL)
		return CTL_EXIT_REJECTED;
	for (uint32_t i = 0; i < s.count && !ret; i++)
		ret = try_all(s.items[i].policy, &err);
	if (!ret)
		ret = make_dir(AT_FDCWD, out, &dir, &err);
	for (uint32_t i = 0; i < s.count && !ret; i++)
		for (uint32_t k = 0; k < om_policy_count(s.items[i].policy) && !ret; k++)
			ret = write_brane(dir, om_policy_ir(s.items[i].policy, k), &err);
	if (!ret)
		ret = report(ctl, &s, out, &err);
	return ret < 0 ? om_ctl_fail(ctl, &err) : 0;
}
