/* See scene.h. */
#include <arpa/inet.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <omega/compiler.h>
#include <omega/sha256.h>
#include "tests/util/scene.h"

#define REACHED_MS 5000

/* The least program: exits. A script would need its interpreter granted, a real program a loader. */
static const struct {
	Elf64_Ehdr e;
	Elf64_Phdr p;
	uint8_t code[9];
} program = {
	.e = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
	      .e_type = ET_EXEC,
	      .e_machine = EM_X86_64,
	      .e_version = EV_CURRENT,
	      .e_entry = 0x400000 + sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr),
	      .e_phoff = sizeof(Elf64_Ehdr),
	      .e_ehsize = sizeof(Elf64_Ehdr),
	      .e_phentsize = sizeof(Elf64_Phdr),
	      .e_phnum = 1},
	.p = {.p_type = PT_LOAD,
	      .p_flags = PF_R | PF_X,
	      .p_vaddr = 0x400000,
	      .p_filesz = 0x1000,
	      .p_memsz = 0x1000,
	      .p_align = 0x1000},
	.code = {0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05}, /* exit(0) */
};

/* "local ANY/0 dev lo": every address is ours, so whoever is let out arrives. */
static void route_all(int family)
{
	char buf[256];
	uint32_t lo = if_nametoindex("lo");
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *rt;

	nlh->nlmsg_type = RTM_NEWROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK;
	rt = mnl_nlmsg_put_extra_header(nlh, sizeof(*rt));
	rt->rtm_family = (unsigned char)family;
	rt->rtm_table = RT_TABLE_LOCAL;
	rt->rtm_protocol = RTPROT_STATIC;
	rt->rtm_scope = RT_SCOPE_HOST;
	rt->rtm_type = RTN_LOCAL;
	mnl_attr_put_u32(nlh, RTA_OIF, lo);
	struct mnl_socket *nl = mnl_socket_open(NETLINK_ROUTE);
	assert_non_null(nl);
	assert_int_equal(mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID), 0);
	assert_true(mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) > 0);
	char answer[8192];
	ssize_t n = mnl_socket_recvfrom(nl, answer, sizeof(answer));
	if (n <= 0 || mnl_cb_run(answer, (size_t)n, 0, mnl_socket_get_portid(nl), NULL, NULL) < 0)
		fail_msg("a local route for family %d: %s", family, strerror(errno));
	mnl_socket_close(nl);
}

static void lo_up(void)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	OM_CLEANUP(om_close_fd) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
}

void scene_open(struct scene *s, const char *helper)
{
	memset(s, 0, sizeof(*s));
	s->helper = helper;
	s->listener = -1;
	assert_int_equal(unshare(CLONE_NEWNS | CLONE_NEWNET), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	(void)snprintf(s->top, sizeof(s->top), "/tmp/omega-scene-XXXXXX");
	assert_non_null(mkdtemp(s->top));
	assert_int_equal(mount("none", s->top, "tmpfs", 0, "mode=0755,size=256m"), 0);
	lo_up();
	route_all(AF_INET);
	route_all(AF_INET6);
}

void scene_close(struct scene *s)
{
	om_close_fd(&s->listener);
	(void)umount2(s->top, MNT_DETACH);
	(void)rmdir(s->top);
}

/* Puts NEW behind the first WHAT at or after FROM in *TEXT (malloc'd). False: there is none. */
static bool insert(char **text, const char *from, const char *what, const char *new)
{
	char *at = strstr(*text, from);

	at = at ? strstr(at, what) : NULL;
	if (!at)
		return false;
	size_t head = (size_t)(at - *text) + strlen(what);
	char *out = NULL;
	assert_true(asprintf(&out, "%.*s%s%s", (int)head, *text, new, *text + head) > 0);
	free(*text);
	*text = out;
	return true;
}

char *scene_variant(struct scene *s, const char *text, const char *layers)
{
	static const char host[] = "image = \"host:";
	char *out = strdup(text), line[128];

	(void)snprintf(s->image, sizeof(s->image), "%s/%d", s->top, s->serial++);
	if (layers) {
		(void)snprintf(line, sizeof(line), "layers = %s\n", layers);
		assert_true(insert(&out, host, "\n", line));
	}
	char *at = strstr(out, host);
	assert_non_null(at);
	/* "host:" gives way to "dir:IMAGE". */
	memmove(at + 9, at + 9 + 5, strlen(at + 9 + 5) + 1);
	(void)snprintf(line, sizeof(line), "dir:%s", s->image);
	assert_true(insert(&out, "image = ", "\"", line));
	if (insert(&out, "[brane.v.filesystem]", "\nexec = [", "\"" SCENE_HELPER "\", "))
		return out;
	if (insert(&out, "[brane.v.filesystem]", "\n", "exec = [\"" SCENE_HELPER "\"]\n"))
		return out;
	char *end = NULL;
	assert_true(asprintf(&end, "%s\n[brane.v.filesystem]\nexec = [\"" SCENE_HELPER "\"]\n",
			     out) > 0);
	free(out);
	return end;
}

static void parents(char *path)
{
	for (char *p = path + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		if (mkdir(path, 0777) == 0)
			(void)chmod(path, 0777);
		*p = '/';
	}
}

static void make_dir(const char *dir, const char *rel)
{
	char path[OM_PATH_MAX + 200];

	(void)snprintf(path, sizeof(path), "%s%s/", dir, rel);
	parents(path);
}

/* Does nothing where a file stands in the way: then the request is about that. */
static void make_file(const char *dir, const char *rel)
{
	char path[OM_PATH_MAX + 200];

	(void)snprintf(path, sizeof(path), "%s%s", dir, rel);
	parents(path);
	OM_CLEANUP(om_close_fd)
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0777);
	if (fd < 0)
		return;
	assert_int_equal(write(fd, &program, sizeof(program)), (ssize_t)sizeof(program));
	(void)fchmod(fd, 0777);
}

/* Where a path of the view lies in the image, by the first ROWS mounts; false: in a tmpfs. */
static bool in_image(const struct om_bundle *b, uint32_t rows, const char *path, char *out)
{
	uint32_t n = 0;
	const struct om_b_mount *m = om_bundle_section(b, OM_SEC_VIEW, &n), *best = NULL;

	for (uint32_t i = 0; i < n && i < rows; i++) {
		const char *to = om_bundle_str(b, m[i].to);
		size_t len = strlen(to);
		if (strncmp(to, path, len) == 0 && (path[len] == '/' || path[len] == '\0'))
			best = &m[i];
	}
	if (best && best->flags & OM_MNT_TMPFS)
		return false;
	(void)snprintf(out, OM_PATH_MAX, "%s%s", best ? om_bundle_str(b, best->from) : "",
		       best ? path + strlen(om_bundle_str(b, best->to)) : path);
	return true;
}

static bool is_file(enum om_op op)
{
	return op == OM_OP_FILE_READ || op == OM_OP_FILE_WRITE || op == OM_OP_FILE_CREATE ||
	       op == OM_OP_FILE_REMOVE || op == OM_OP_FILE_EXEC;
}

/* A grant on just this object: it must be there when the brane starts, and stay the same object. */
static bool is_object(const struct om_ir *ir, const char *path)
{
	for (uint32_t i = 0; i < ir->count; i++) {
		const struct om_grant *g = &ir->grants[i];
		if (g->kind == OM_GRANT_FILE && !g->file.prefix && strcmp(g->file.path, path) == 0)
			return true;
	}
	return false;
}

static void make_granted(struct scene *s, const struct om_ir *ir)
{
	for (uint32_t i = 0; i < ir->count; i++) {
		const struct om_grant *g = &ir->grants[i];
		if (g->kind == OM_GRANT_MOUNT && g->mount.from)
			make_dir(s->image, g->mount.from);
		if (g->kind == OM_GRANT_FILE && (g->file.tree || g->file.prefix))
			make_dir(s->image, g->file.path);
	}
	for (uint32_t i = 0; i < ir->count; i++) {
		const struct om_grant *g = &ir->grants[i];
		if (g->kind == OM_GRANT_FILE && strcmp(g->file.path, SCENE_HELPER) != 0)
			make_file(s->image, g->file.path);
	}
}

/* A mount on a mount needs its place in what was mounted before. */
static void make_places(struct scene *s, const struct om_bundle *b)
{
	uint32_t n = 0;
	const struct om_b_mount *m = om_bundle_section(b, OM_SEC_VIEW, &n);
	char path[OM_PATH_MAX];

	for (uint32_t i = 0; i < n; i++)
		if (m[i].flags & (OM_MNT_TMPFS | OM_MNT_TREE | OM_MNT_DIR) &&
		    in_image(b, i, om_bundle_str(b, m[i].to), path))
			make_dir(s->image, path);
}

static void copy_helper(struct scene *s)
{
	char path[200];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s" SCENE_HELPER, s->image);
	OM_CLEANUP(om_close_fd) int in = open(s->helper, O_RDONLY | O_CLOEXEC);
	OM_CLEANUP(om_close_fd) int out = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	if (in < 0 || fstat(in, &st) < 0)
		fail_msg("%s: %s", s->helper, strerror(errno));
	for (off_t left = st.st_size; left > 0;) {
		ssize_t n = sendfile(out, in, NULL, (size_t)left);
		assert_true(n > 0);
		left -= n;
	}
	assert_int_equal(fchmod(out, 0755), 0);
}

void scene_make(struct scene *s, const struct om_ir *ir, const struct om_bundle *b,
		const struct om_request *reqs, uint32_t count)
{
	char path[OM_PATH_MAX];

	assert_int_equal(mkdir(s->image, 0755), 0);
	copy_helper(s);
	make_granted(s, ir);
	make_places(s, b);
	/* What lies above another request's path is a directory; the deepest come first. */
	for (size_t deep = 64; deep-- > 0;)
		for (uint32_t i = 0; i < count; i++) {
			size_t slashes = 0;
			for (const char *p = reqs[i].text; *p; p++)
				slashes += *p == '/';
			if (is_file(reqs[i].op) && slashes == deep && strlen(reqs[i].text) > 1 &&
			    in_image(b, ~0u, reqs[i].text, path))
				make_file(s->image, path);
		}
	for (uint32_t i = 0; i < count; i++) {
		char full[OM_PATH_MAX + 200];
		if (reqs[i].op != OM_OP_FILE_CREATE || is_object(ir, reqs[i].text) ||
		    !in_image(b, ~0u, reqs[i].text, path))
			continue;
		(void)snprintf(full, sizeof(full), "%s%s", s->image, path);
		(void)unlink(full);
	}
}

static void listen_for(struct scene *s, const struct om_request *req)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(req->port)};
	int type = req->proto == OM_PROTO_UDP ? SOCK_DGRAM : SOCK_STREAM, off = 0, on = 1;

	s->listener = socket(AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(s->listener >= 0);
	/* IPv4 arrives at it too. */
	(void)setsockopt(s->listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	(void)setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(s->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(s->listener, 4), 0);
}

/* The program, or one that does the same with a few bytes more: whichever has the digest that REQ tells. */
static void set_content(const char *dir, const char *rel, const struct om_request *req)
{
	uint8_t bytes[sizeof(program) + 4], found[32];
	char path[OM_PATH_MAX + 200];

	memset(bytes, 'x', sizeof(bytes));
	memcpy(bytes, &program, sizeof(program));
	for (size_t len = sizeof(program); len < sizeof(bytes); len++) {
		om_sha256(bytes, len, found);
		if (memcmp(found, req->sha256, sizeof(found)) != 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s%s", dir, rel);
		OM_CLEANUP(om_close_fd) int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, bytes, len), (ssize_t)len);
		return;
	}
	fail_msg("%s: no content of the scene has this digest", req->text);
}

void scene_set(struct scene *s, const struct om_bundle *b, const struct om_request *req)
{
	char path[OM_PATH_MAX];

	if (req->op == OM_OP_NET_CONNECT)
		listen_for(s, req);
	if (is_file(req->op) && req->op != OM_OP_FILE_CREATE && strlen(req->text) > 1 &&
	    in_image(b, ~0u, req->text, path)) {
		make_file(s->image, path);
		if (req->has_sha256)
			set_content(s->image, path, req);
	}
}

bool scene_reached(struct scene *s, bool want)
{
	struct pollfd p = {s->listener, POLLIN, 0};
	bool reached;

	if (s->listener < 0)
		return want;
	reached = poll(&p, 1, want ? REACHED_MS : 0) > 0;
	om_close_fd(&s->listener);
	return reached;
}
