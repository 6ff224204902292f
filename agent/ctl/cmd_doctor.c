/*
 * doctor: what this kernel and host can enforce, and what to do about each gap.
 *
 * Comes in: omegad's own probe when it runs; this host's files. Goes out: a table; exit 9 when something
 * required is missing. Called by: main. Never does: change anything, or guess from a version number.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <linux/netlink.h>
#include "agent/ctl/command.h"
#include "agent/ctl/lib/daemon.h"
#include "agent/ctl/lib/out.h"

#define EXIT_CANNOT 9
#define TEXT	    4096u

struct doctor {
	struct om_ctl *ctl;
	json_t *rows;
	bool missing;
};

struct check {
	const char *what, *layer;
	bool ok, optional;
};

static void add_check(struct doctor *d, struct check c, const char *why, const char *todo)
{
	bool gap = !c.ok && !c.optional;

	d->missing |= gap;
	json_array_append_new(d->rows,
			      json_pack("{s:o,s:s,s:b,s:b,s:o,s:o}", "hook",
					om_ctl_json_text(c.what), "layer", c.layer, "ok", (int)c.ok,
					"required", (int)!c.optional, "why", om_ctl_json_text(why),
					"todo", om_ctl_json_text(gap ? todo : "")));
}

static void add(struct doctor *d, const char *what, const char *layer, bool ok, const char *why,
		const char *todo)
{
	add_check(d, (struct check){.what = what, .layer = layer, .ok = ok}, why, todo);
}

static bool slurp(const char *path, char buf[static TEXT])
{
	OM_CLEANUP(om_close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, TEXT - 1);

	buf[n > 0 ? n : 0] = 0;
	if (n > 0 && buf[n - 1] == '\n')
		buf[n - 1] = 0;
	return n >= 0;
}

static bool has_word(const char *list, const char *word, char sep)
{
	size_t n = strlen(word);

	for (const char *p = list; p; p = strchr(p, sep) ? strchr(p, sep) + 1 : NULL)
		if (strncmp(p, word, n) == 0 && (!p[n] || p[n] == sep))
			return true;
	return false;
}

static void check_lsm(struct doctor *d)
{
	char list[TEXT];
	bool read = slurp("/sys/kernel/security/lsm", list);

	add(d, "lsm=bpf", "kernel", read && has_word(list, "bpf", ','),
	    read ? list : "/sys/kernel/security is not mounted or not readable",
	    read ? "add bpf to lsm= on the kernel's command line (keep the others), reboot"
		 : "mount -t securityfs securityfs /sys/kernel/security; needs CONFIG_BPF_LSM=y");
	add(d, "btf", "kernel", access("/sys/kernel/btf/vmlinux", R_OK) == 0,
	    "/sys/kernel/btf/vmlinux", "use a kernel with CONFIG_DEBUG_INFO_BTF=y");
}

/* The first cgroup2 mount, as the kernel tells it. */
static bool find_cgroup2(char path[static TEXT])
{
	FILE *f = fopen("/proc/self/mounts", "re");
	char line[TEXT], dir[TEXT / 2], type[64];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %2047s %63s", dir, type) == 2 &&
		    strcmp(type, "cgroup2") == 0) {
			snprintf(path, TEXT, "%s", dir);
			fclose(f);
			return true;
		}
	if (f)
		fclose(f);
	return false;
}

static void check_cgroup(struct doctor *d)
{
	static const char *const wanted[] = {"cpu", "memory", "pids", "io"};
	char dir[TEXT], list[TEXT];
	OM_CLEANUP(om_free_ptr) char *path = NULL;
	bool found = find_cgroup2(dir);

	add(d, "cgroup2", "process", found, found ? dir : "no cgroup2 file system is mounted",
	    "mount -t cgroup2 cgroup2 /sys/fs/cgroup");
	if (!found)
		return;
	if (asprintf(&path, "%s/cgroup.controllers", dir) < 0)
		path = NULL;
	if (!path || !slurp(path, list))
		list[0] = 0;
	for (size_t i = 0; i < OM_ARRAY_LEN(wanted); i++) {
		char what[64];

		snprintf(what, sizeof(what), "cgroup.%s", wanted[i]);
		add(d, what, "process", has_word(list, wanted[i], ' '),
		    list[0] ? list : "no controller is in the cgroup2 hierarchy",
		    "take it from cgroup v1: systemd.unified_cgroup_hierarchy=1 on the kernel's "
		    "command line; until then a manifest with this limit is refused");
	}
}

static void check_nft(struct doctor *d)
{
	OM_CLEANUP(om_close_fd)
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	char list[TEXT] = "";
	FILE *f = fopen("/proc/modules", "re");
	bool loaded = false;

	while (f && fgets(list, sizeof(list), f))
		loaded |= strncmp(list, "nf_tables ", 10) == 0;
	if (f)
		fclose(f);
	/* Built in, it is no module; then the socket alone tells. */
	add(d, "nf_tables", "network", fd >= 0,
	    fd < 0   ? strerror(errno)
	    : loaded ? "loaded"
		     : "netfilter answers; not loaded as a module",
	    "modprobe nf_tables; needs CONFIG_NF_TABLES");
}

static void check_files(struct doctor *d)
{
	struct statfs fs;
	char list[TEXT];

	add(d, "bpffs", "kernel",
	    statfs("/sys/fs/bpf", &fs) == 0 && fs.f_type == (__typeof__(fs.f_type))BPF_FS_MAGIC,
	    "/sys/fs/bpf", "mount -t bpf bpf /sys/fs/bpf");
	add(d, "seccomp notify", "process",
	    slurp("/proc/sys/kernel/seccomp/actions_avail", list) &&
		    has_word(list, "user_notif", ' '),
	    list, "use a kernel from 5.0 on with CONFIG_SECCOMP_FILTER=y");
	add(d, "namespaces", "process",
	    access("/proc/self/ns/mnt", F_OK) == 0 && access("/proc/self/ns/pid", F_OK) == 0 &&
		    access("/proc/self/ns/net", F_OK) == 0,
	    "/proc/self/ns", "use a kernel with CONFIG_NAMESPACES=y");
}

static const char *todo_for(const char *layer)
{
	if (strcmp(layer, "kernel") == 0)
		return "add bpf to lsm= on the kernel's command line; without it: layers = "
		       "[\"process\", \"network\"] in the manifest";
	if (strcmp(layer, "network") == 0)
		return "needs CONFIG_CGROUP_BPF=y and CONFIG_NF_TABLES; start omegad as root";
	return "start omegad as root on a kernel with namespaces, seccomp and cgroup2";
}

static void ask_daemon(struct doctor *d, struct om_err *err)
{
	OM_CLEANUP(om_json_put) json_t *reply = NULL;
	json_t *h;
	const char *key;
	size_t i;

	if (om_ctl_call(d->ctl, "io.omega.Observe.Doctor", NULL, &reply, err) < 0)
		return;
	/* Not a fault either way: which level it is. */
	add_check(d,
		  (struct check){
			  .what = "self-guard", .layer = "kernel", .ok = true, .optional = true},
		  om_json_text(reply, "self_guard", "brane"), "");
	json_object_foreach (json_object_get(reply, "why"), key, h)
		add(d, "layer", key, false, json_string_value(h), todo_for(key));
	json_array_foreach (json_object_get(reply, "hooks"), i, h) {
		bool ok = json_is_true(json_object_get(h, "ok"));
		const char *layer = om_json_text(h, "layer", "?");

		add_check(d,
			  (struct check){.what = om_json_text(h, "name", "?"),
					 .layer = layer,
					 .ok = ok,
					 .optional = !json_is_true(json_object_get(h, "required"))},
			  om_json_text(h, "why", ""), todo_for(layer));
	}
}

/* Each remedy once, however many hooks need it. */
static void print_todo(const struct doctor *d)
{
	json_t *seen = json_object(), *one;
	size_t i;

	json_array_foreach (d->rows, i, one) {
		const char *todo = om_json_text(one, "todo", "");

		if (!*todo || json_object_get(seen, todo))
			continue;
		if (!json_object_size(seen))
			printf("\nwhat to do:\n");
		json_object_set_new(seen, todo, json_true());
		printf("  %s (%s): ", om_json_text(one, "layer", "?"),
		       om_json_text(one, "hook", "?"));
		om_ctl_put(stdout, todo, strlen(todo));
		putchar('\n');
	}
	json_decref(seen);
}

static int print_rows(const struct doctor *d, struct om_err *err)
{
	static const char *const heads[] = {"HOOK", "LAYER", "OK", "WHY"};
	struct om_table t;
	json_t *one;
	size_t i;
	int ret;

	om_table_init(&t, heads, 4);
	json_array_foreach (d->rows, i, one) {
		bool ok = json_is_true(json_object_get(one, "ok"));
		bool required = json_is_true(json_object_get(one, "required"));
		const char *cells[] = {om_json_text(one, "hook", "?"),
				       om_json_text(one, "layer", "?"),
				       ok	  ? "yes"
				       : required ? "NO"
						  : "no, optional",
				       om_json_text(one, "why", "")};

		om_table_row(&t, cells);
	}
	ret = om_table_print(d->ctl, &t, err);
	om_table_done(&t);
	if (!ret)
		print_todo(d);
	return ret;
}

int cmd_doctor(struct om_ctl *ctl, const struct om_args *a)
{
	struct doctor d = {.ctl = ctl, .rows = json_array()};
	struct om_err asked = {0}, err = {0};
	json_t *out;
	int ret;

	check_lsm(&d);
	check_cgroup(&d);
	check_nft(&d);
	check_files(&d);
	ask_daemon(&d, &asked);
	if (ctl->format == CTL_JSON || ctl->format == CTL_JSONL) {
		out = om_ctl_json_new();
		json_object_set_new(out, "omegad", json_boolean(!asked.id));
		json_object_set_new(out, "complete", json_boolean(!d.missing));
		json_object_set(out, "checks", d.rows);
		ret = om_ctl_json(out, ctl->format == CTL_JSONL, &err);
	} else {
		ret = print_rows(&d, &err);
		fflush(stdout);
		if (asked.id)
			fprintf(stderr,
				"omegad does not answer, so its hooks were not tried: start it and "
				"ask again for those\n");
	}
	json_decref(d.rows);
	if (ret < 0)
		return om_ctl_fail(ctl, &err);
	return d.missing ? EXIT_CANNOT : 0;
}
