/*
 * The text form of requests, and the names of ops and layers.
 *
 * Comes in: one line of text, or a struct. Goes out: the other of the two. Called by: ctl, the
 * vectors, the live tests, the reports. Never does: look anything up on this host (a syscall's
 * number is left to whoever has the table).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <omega/addr.h>
#include <omega/request.h>
#include <omega/sha256.h>

static const char *const op_names[OM_OP_COUNT] = {
	[OM_OP_NONE] = "none",
	[OM_OP_FILE_READ] = "file.read",
	[OM_OP_FILE_WRITE] = "file.write",
	[OM_OP_FILE_CREATE] = "file.create",
	[OM_OP_FILE_REMOVE] = "file.remove",
	[OM_OP_FILE_EXEC] = "file.exec",
	[OM_OP_FILE_ABSENT] = "file.absent",
	[OM_OP_MEM_EXEC] = "mem.exec",
	[OM_OP_NET_CONNECT] = "net.connect",
	[OM_OP_NET_LISTEN] = "net.listen",
	[OM_OP_NET_SOCKET] = "net.socket",
	[OM_OP_NET_UNIX] = "net.unix",
	[OM_OP_NET_RECV] = "net.recv",
	[OM_OP_SYSCALL] = "syscall",
	[OM_OP_PTRACE] = "ptrace",
	[OM_OP_SIGNAL] = "signal",
	[OM_OP_MOUNT] = "mount",
	[OM_OP_NAMESPACE] = "namespace",
	[OM_OP_BPF] = "bpf",
	[OM_OP_PERF] = "perf",
	[OM_OP_MODULE] = "module",
	[OM_OP_KEY] = "key",
	[OM_OP_DEVICE] = "device",
	[OM_OP_SYSTEM] = "system",
	[OM_OP_SCOPE] = "scope",
	[OM_OP_ENV] = "env",
	[OM_OP_STDIO] = "stdio",
	[OM_OP_LIMIT] = "limit",
};

static const char *const where_names[OM_WHERE_COUNT] = {
	[OM_WHERE_NONE] = "none",
	[OM_WHERE_LSM] = "lsm",
	[OM_WHERE_CGROUP_BPF] = "cgroup-bpf",
	[OM_WHERE_NFT] = "nft",
	[OM_WHERE_SECCOMP] = "seccomp",
	[OM_WHERE_VIEW] = "view",
	[OM_WHERE_CGROUP] = "cgroup",
	[OM_WHERE_PROCESS] = "process",
};

/* A name from the kernel's side may be any number: never index with it unchecked. */
const char *om_op_name(enum om_op op)
{
	return (unsigned int)op < OM_OP_COUNT ? op_names[op] : op_names[OM_OP_NONE];
}

const char *om_where_name(enum om_where where)
{
	return (unsigned int)where < OM_WHERE_COUNT ? where_names[where]
						    : where_names[OM_WHERE_NONE];
}

static int bad(struct om_err *err, const char *expected)
{
	return om_err_set(err, OM_ERR_REQUEST_FORMAT, -EINVAL, "expected %s", expected);
}

/* The same places as in a manifest: absolute, no empty, "." or ".." component. */
static bool path_is_canonical(const char *s, size_t len)
{
	size_t start = 1;

	if (len == 0 || s[0] != '/')
		return false;
	for (size_t i = 1; len > 1 && i <= len; i++) {
		size_t n = i - start;

		if (i < len && s[i] != '/')
			continue;
		if (n == 0 || (n == 1 && s[start] == '.') ||
		    (n == 2 && s[start] == '.' && s[start + 1] == '.'))
			return false;
		start = i + 1;
	}
	return true;
}

static int take_text(struct om_request *req, const char *s, size_t len, const char *expected,
		     struct om_err *err)
{
	if (len == 0 || len >= sizeof(req->text))
		return bad(err, expected);
	memcpy(req->text, s, len);
	req->text[len] = 0;
	return 0;
}

static int parse_path(struct om_request *req, const char *s, size_t len, struct om_err *err)
{
	/* A folder may be written with its slash, as in a manifest: it is the same object. */
	if (len > 2 && s[len - 1] == '/')
		len--;
	if (!path_is_canonical(s, len))
		return bad(err, "an absolute path without '.', '..' or empty components");
	return take_text(req, s, len, "a path shorter than 4096 bytes", err);
}

/* "sha256:HEX " in front of a path, which never begins so. Returns its length, 0: none, -EINVAL. */
static int take_digest(struct om_request *req, const char *s, size_t len)
{
	static const char tag[] = "sha256:";
	const size_t head = sizeof(tag) - 1, all = head + 64 + 1;

	if (len < head || memcmp(s, tag, head) != 0)
		return 0;
	if (len < all || s[all - 1] != ' ' || !om_sha256_parse(s + head, req->sha256))
		return -EINVAL;
	req->has_sha256 = true;
	return (int)all;
}

/* Printable and unbroken: these words end up in reports. */
static int parse_word(struct om_request *req, const char *s, size_t len, struct om_err *err)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] <= ' ' || s[i] == 0x7f)
			return bad(err, "one word behind the operation");
	return take_text(req, s, len, "one word behind the operation", err);
}

/* [PORT] and an optional /proto; everything up to LEN must be used. */
static int parse_port(struct om_request *req, const char *s, size_t len, struct om_err *err)
{
	const char *slash = memchr(s, '/', len);
	size_t n = slash ? (size_t)(slash - s) : len;
	uint64_t port;

	req->proto = OM_PROTO_TCP;
	if (slash)
		req->proto = om_proto_parse(slash + 1, len - n - 1);
	if (req->proto == 0)
		return bad(err, "/tcp or /udp behind the port");
	if (!om_decimal_parse(s, n, 1, 65535, &port))
		return bad(err, "a port from 1 to 65535");
	req->port = (uint16_t)port;
	return 0;
}

static int parse_connect(struct om_request *req, const char *s, size_t len, struct om_err *err)
{
	static const char what[] = "ADDRESS:PORT[/tcp|/udp] or [IPV6]:PORT[/tcp|/udp]";
	const char *end = s + len, *host = s, *host_end, *port;

	if (len > 0 && s[0] == '[') {
		host = s + 1;
		host_end = memchr(s, ']', len);
		if (!host_end || host_end + 1 >= end || host_end[1] != ':')
			return bad(err, what);
		port = host_end + 2;
	} else {
		host_end = memchr(s, ':', len);
		if (!host_end)
			return bad(err, what);
		port = host_end + 1;
	}
	if (!om_addr_parse(host, (size_t)(host_end - host), req->addr))
		return bad(err, what);
	return parse_port(req, port, (size_t)(end - port), err);
}

int om_request_parse(const char *text, size_t len, struct om_request *req, struct om_err *err)
{
	const char *space = memchr(text, ' ', len);
	size_t n = space ? (size_t)(space - text) : len;
	const char *arg = space ? space + 1 : text + len;
	size_t arg_len = (size_t)(text + len - arg);
	unsigned int op;
	int ret;

	memset(req, 0, sizeof(*req));
	req->nr = -1;
	for (op = 1; op < OM_OP_COUNT; op++)
		if (strlen(op_names[op]) == n && memcmp(op_names[op], text, n) == 0)
			break;
	req->op = op < OM_OP_COUNT ? (enum om_op)op : OM_OP_NONE;
	if (memchr(text, 0, len))
		return bad(err, "text without NUL bytes");

	if (op == OM_OP_FILE_EXEC) {
		ret = take_digest(req, arg, arg_len);
		if (ret < 0)
			return bad(err,
				   "sha256: and 64 lower-case hexadecimal digits, a space, a path");
		arg += ret;
		arg_len -= (size_t)ret;
	}
	if (op >= OM_OP_FILE_READ && op <= OM_OP_FILE_ABSENT)
		return parse_path(req, arg, arg_len, err);
	if (op == OM_OP_NET_CONNECT)
		return parse_connect(req, arg, arg_len, err);
	if (op == OM_OP_NET_LISTEN)
		return parse_port(req, arg, arg_len, err);
	if (op == OM_OP_SYSCALL || op == OM_OP_ENV)
		return parse_word(req, arg, arg_len, err);
	if (op == OM_OP_STDIO) {
		ret = parse_word(req, arg, arg_len, err);
		if (ret < 0)
			return ret;
		if (strcmp(req->text, "in") != 0 && strcmp(req->text, "out") != 0 &&
		    strcmp(req->text, "err") != 0)
			return bad(err, "stdio in, out or err");
		return 0;
	}
	if (op == OM_OP_MEM_EXEC)
		return arg_len == 0 ? 0 : bad(err, "nothing behind mem.exec");
	return bad(err, "file.read|write|create|remove|exec PATH, net.connect ADDRESS:PORT, "
			"net.listen PORT, syscall NAME, env NAME, stdio in|out|err or mem.exec");
}

void om_request_format(const struct om_request *req, char *buf, size_t size)
{
	const char *op = om_op_name(req->op);
	char addr[OM_ADDR_TEXT_MAX];

	if (req->op == OM_OP_NET_CONNECT) {
		om_addr_format(req->addr, 128, addr);
		snprintf(buf, size, "%s %s:%u/%s", op, addr, req->port, om_proto_name(req->proto));
	} else if (req->op == OM_OP_NET_LISTEN) {
		snprintf(buf, size, "%s %u/%s", op, req->port, om_proto_name(req->proto));
	} else if (req->has_sha256) {
		char hex[65];

		om_sha256_format(req->sha256, hex);
		snprintf(buf, size, "%s sha256:%s %s", op, hex, req->text);
	} else if (req->text[0]) {
		snprintf(buf, size, "%s %s", op, req->text);
	} else {
		snprintf(buf, size, "%s", op);
	}
}
