/*
 * What this kernel can enforce, found by loading each program once.
 *
 * Comes in: the table. Goes out: one row per program, and the layers that are complete. Called by:
 * `omegactl doctor`, the load role at start. Never does: attach, pin, or look at a version.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <loader/bpf_priv.h>

static const struct om_bpf_object_def *object_of(const struct om_prog *row)
{
	for (size_t i = 0; i < om_objects_count; i++)
		if (!strcmp(om_objects_defs[i].name, row->object))
			return &om_objects_defs[i];
	return NULL;
}

static int try_load(const struct om_bpf_object_def *def, const char *only, struct om_err *err)
{
	struct bpf_object *obj = NULL;
	int ret = om_object_load(def, NULL, only, &obj, err);

	om_object_close(&obj);
	return ret;
}

static void fill_row(struct om_bpf_hook *hook, const struct om_prog *row, int whole)
{
	const struct om_bpf_object_def *def = object_of(row);
	struct om_err err = {0};

	snprintf(hook->name, sizeof(hook->name), "%s", row->hook);
	hook->layer = row->layer;
	hook->required = (row->flags & OM_PROG_REQUIRED) != 0;
	if (!om_prog_fits(row)) {
		hook->ret = -ENOENT;
		hook->required |= om_prog_drifted(row);
		snprintf(hook->why, sizeof(hook->why), "this kernel's hook is %s",
			 om_prog_drifted(row) ? "of an unknown form" : "missing");
		return;
	}
	/* An object that loads as a whole needs no further proof; otherwise find the culprit. */
	hook->ret = whole == 0 ? 0 : def ? try_load(def, row->name, &err) : -EINVAL;
	if (hook->ret)
		snprintf(hook->why, sizeof(hook->why), "%.159s", err.text);
}

int om_bpf_probe(struct om_bpf_probe *out, struct om_err *err)
{
	struct om_err called = {0};
	uint32_t lost = 0;

	if (om_progs_count + 2 > OM_ARRAY_LEN(out->hooks))
		return om_err_set(err, OM_ERR_INTERNAL, -E2BIG, "%zu hooks", om_progs_count);
	memset(out, 0, sizeof(*out));
	for (size_t o = 0; o < om_objects_count; o++) {
		struct om_err why = {0};
		int whole = try_load(&om_objects_defs[o], NULL, &why);

		for (size_t i = 0; i < om_progs_count; i++) {
			struct om_bpf_hook *hook = &out->hooks[out->count];

			if (strcmp(om_progs[i].object, om_objects_defs[o].name))
				continue;
			fill_row(hook, &om_progs[i], whole);
			if (hook->ret && hook->required)
				lost |= hook->layer;
			out->count++;
		}
	}
	/* A row of its own: everything may load and still never be called. */
	snprintf(out->hooks[out->count].name, sizeof(out->hooks[0].name), "lsm called");
	out->hooks[out->count].layer = OM_LAYER_KERNEL;
	out->hooks[out->count].required = 1;
	out->hooks[out->count].ret = om_bpf_canary(&called);
	if (out->hooks[out->count].ret) {
		snprintf(out->hooks[out->count].why, sizeof(out->hooks[0].why), "%.159s",
			 called.text);
		lost |= OM_LAYER_KERNEL;
	}
	out->count++;
	/* No layer needs it, only branes with sha256 grants. */
	called = (struct om_err){0};
	snprintf(out->hooks[out->count].name, sizeof(out->hooks[0].name), "content told");
	out->hooks[out->count].layer = OM_LAYER_KERNEL;
	out->hooks[out->count].ret = om_bpf_content_probe(&called);
	if (out->hooks[out->count].ret)
		snprintf(out->hooks[out->count].why, sizeof(out->hooks[0].why), "%.159s",
			 called.text);
	out->count++;
	out->layers = (OM_LAYER_KERNEL | OM_LAYER_NETWORK) & ~lost;
	return 0;
}
