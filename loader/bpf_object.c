/*
 * Loading one BPF object: libbpf with its voice turned into an error text.
 *
 * Comes in: an object of the table and a directory of pins. Goes out: loaded programs, not attached.
 * Called by: om_bpf_open, om_bpf_probe. Never does: print; attach; leave out a required program.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <bpf/btf.h>

#include <loader/bpf_priv.h>

/* libbpf has one print callback a process; what it says in one thread is kept for that thread. */
static __thread char om_bpf_said[256];
static __thread char om_bpf_verifier[256];

static void keep_line(char *dst, size_t size, const char *line, size_t len)
{
	if (len >= size)
		len = size - 1;
	memcpy(dst, line, len);
	dst[len] = '\0';
}

/* The verifier's reason is the last line before "processed N insns". */
static void keep_verifier(const char *text)
{
	const char *end = strstr(text, "\nprocessed "), *start = end;

	if (!end)
		return;
	while (start > text && start[-1] != '\n')
		start--;
	keep_line(om_bpf_verifier, sizeof(om_bpf_verifier), start, (size_t)(end - start));
}

static int om_bpf_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	static __thread char text[65536];

	if (level != LIBBPF_WARN)
		return 0;
	vsnprintf(text, sizeof(text), fmt, ap);
	keep_verifier(text);
	/* The first complaint names the cause, those that follow only its consequences. */
	if (!om_bpf_said[0])
		keep_line(om_bpf_said, sizeof(om_bpf_said), text, strcspn(text, "\n"));
	return 0;
}

void om_bpf_quiet(void)
{
	libbpf_set_print(om_bpf_print);
}

const char *om_bpf_said_text(void)
{
	return om_bpf_verifier[0] ? om_bpf_verifier : om_bpf_said;
}

void om_bpf_said_forget(void)
{
	om_bpf_said[0] = '\0';
	om_bpf_verifier[0] = '\0';
}

static const struct btf *kernel_btf(void)
{
	/* Parsed once a process: five megabytes, 10 ms. Never freed: the kernel's BTF does not change. */
	static struct btf *btf;

	if (!btf) {
		om_bpf_quiet();
		btf = btf__load_vmlinux_btf();
	}
	return btf;
}

/* Whether splice to a socket goes past socket_sendmsg. Without BTF the safe answer is yes. */
static bool has_sendpage(void)
{
	const struct btf *btf = kernel_btf();
	const struct btf_member *m;
	const struct btf_type *t;
	int id = btf ? btf__find_by_name_kind(btf, "proto_ops", BTF_KIND_STRUCT) : -1;

	if (id <= 0)
		return true;
	t = btf__type_by_id(btf, (uint32_t)id);
	m = btf_members(t);
	for (int i = 0; i < btf_vlen(t); i++)
		if (!strcmp(btf__name_by_offset(btf, m[i].name_off), "sendpage"))
			return true;
	return false;
}

/* How many arguments kernel function NAME has; -1: there is no such function. */
static int om_btf_args(const char *name)
{
	const struct btf *btf = kernel_btf();
	const struct btf_type *t;
	int id;

	id = btf ? btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) : -1;
	if (id <= 0)
		return -1;
	t = btf__type_by_id(btf, btf__type_by_id(btf, (uint32_t)id)->type);
	return t ? btf_vlen(t) : -1;
}

bool om_prog_fits(const struct om_prog *row)
{
	int args;

	if (!row->target)
		return true;
	if ((row->flags & OM_PROG_SENDPAGE) && !has_sendpage())
		return false;
	if (row->unless && om_btf_args(row->unless) >= 0)
		return false;
	args = om_btf_args(row->target);
	return args >= 0 && (!row->args || (uint32_t)args == row->args);
}

bool om_prog_drifted(const struct om_prog *row)
{
	if (!row->target || row->unless || (row->flags & OM_PROG_SENDPAGE) ||
	    om_btf_args(row->target) < 0)
		return false;
	for (size_t i = 0; i < om_progs_count; i++)
		if (om_progs[i].target && !strcmp(om_progs[i].target, row->target) &&
		    om_prog_fits(&om_progs[i]))
			return false;
	return true;
}

void om_object_close(struct bpf_object **obj)
{
	bpf_object__close(*obj);
	*obj = NULL;
}

static int choose_programs(struct bpf_object *obj, const char *only, struct om_err *err)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj)
	{
		const struct om_prog *row = om_prog_find(bpf_program__name(prog));

		if (!row)
			return om_err_set(err, OM_ERR_INTERNAL, -EINVAL,
					  "program %s is not in the table",
					  bpf_program__name(prog));
		if (only && strcmp(only, row->name)) {
			bpf_program__set_autoload(prog, false);
		} else if (!om_prog_fits(row)) {
			if ((row->flags & OM_PROG_REQUIRED) || om_prog_drifted(row))
				return om_err_set(err, OM_ERR_BPF_HOOK, -ENOENT,
						  "this kernel's hook %s is %s", row->hook,
						  om_prog_drifted(row) ? "of an unknown form"
								       : "missing");
			bpf_program__set_autoload(prog, false);
		}
	}
	return 0;
}

/* Pins by name below PIN_DIR; without one, no map may be shared with a living agent. */
static void forget_pins(struct bpf_object *obj)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)(void) bpf_map__set_pin_path(map, NULL);
}

int om_object_load(const struct om_bpf_object_def *def, const char *pin_dir, const char *only,
		   struct bpf_object **out, struct om_err *err)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = def->name, .pin_root_path = pin_dir);
	struct bpf_object *obj OM_CLEANUP(om_object_close) = NULL;
	enum om_err_id id =
		def->layer == OM_LAYER_NETWORK ? OM_ERR_CGBPF_UNSUPPORTED : OM_ERR_BPF_UNSUPPORTED;
	size_t len;
	const void *bytes = def->bytes(&len);
	int ret;

	om_bpf_quiet();
	om_bpf_said_forget();
	obj = bpf_object__open_mem(bytes, len, &opts);
	if (!obj) {
		ret = errno ? -errno : -EINVAL;
		return om_err_sys(err, OM_ERR_BPF_LOAD, ret, "object %s: %s", def->name,
				  om_bpf_said);
	}
	if (!pin_dir)
		forget_pins(obj);
	ret = choose_programs(obj, only, err);
	if (ret)
		return ret;
	ret = bpf_object__load(obj);
	if (ret) {
		/* EPERM is a kernel that allows nobody this type: say "unsupported", not "refused". */
		if (ret != -EPERM && ret != -EOPNOTSUPP)
			id = OM_ERR_BPF_LOAD;
		return om_err_sys(err, id, ret, "object %s: %s%s%s", def->name, om_bpf_said,
				  om_bpf_verifier[0] ? ": " : "", om_bpf_verifier);
	}
	*out = OM_STEAL_PTR(obj);
	return 0;
}
