/*
 * The table of operations: op to kind, rule and urgency.
 *
 * Comes in: enum om_op. Goes out: a row. Called by: decode.c, the drain role. Never does: name a rule
 * that no manifest key is.
 */
#include <omega/request.h>
#include "agent/events/events.h"

static const struct om_op_row rows[OM_OP_COUNT] = {
	[OM_OP_FILE_READ] = {"file.read", "file.read", "filesystem.read", false},
	[OM_OP_FILE_WRITE] = {"file.write", "file.write", "filesystem.write", false},
	[OM_OP_FILE_CREATE] = {"file.create", "file.create", "filesystem.create", false},
	[OM_OP_FILE_REMOVE] = {"file.remove", "file.remove", "filesystem.write", false},
	[OM_OP_FILE_EXEC] = {"file.exec", "exec", "filesystem.exec", false},
	[OM_OP_FILE_ABSENT] = {"file.absent", "file.absent", "filesystem.read", false},
	[OM_OP_MEM_EXEC] = {"mem.exec", "exec", "filesystem.allow-write-exec", true},
	[OM_OP_NET_CONNECT] = {"net.connect", "net.connect", "network.egress", false},
	[OM_OP_NET_LISTEN] = {"net.listen", "net.listen", "network.listen", false},
	[OM_OP_NET_SOCKET] = {"net.socket", "net.socket", "", false},
	[OM_OP_NET_UNIX] = {"net.unix", "net.unix", "", false},
	[OM_OP_NET_RECV] = {"net.recv", "net.recv", "network.listen", false},
	[OM_OP_SYSCALL] = {"syscall", "seccomp", "syscalls.allow", false},
	[OM_OP_PTRACE] = {"ptrace", "ptrace", "", true},
	[OM_OP_SIGNAL] = {"signal", "signal", "", false},
	[OM_OP_MOUNT] = {"mount", "mount", "", true},
	[OM_OP_NAMESPACE] = {"namespace", "cap", "", true},
	[OM_OP_BPF] = {"bpf", "bpf", "", true},
	[OM_OP_PERF] = {"perf", "bpf", "", true},
	[OM_OP_MODULE] = {"module", "cap", "", true},
	[OM_OP_KEY] = {"key", "cap", "", false},
	[OM_OP_DEVICE] = {"device", "dev.open", "", false},
	[OM_OP_SYSTEM] = {"system", "cap", "", true},
	[OM_OP_SCOPE] = {"scope", "scope", "", true},
	[OM_OP_ENV] = {"env", "env", "environment.set", false},
	[OM_OP_STDIO] = {"stdio", "stdio", "stdio", false},
	[OM_OP_LIMIT] = {"limit", "limit", "limits", false},
};

static const struct om_op_row unknown = {"unknown", "unknown", "", true};

const struct om_op_row *om_op_row(uint16_t op)
{
	return op < OM_OP_COUNT && rows[op].op ? &rows[op] : &unknown;
}

const char *om_event_layer(uint8_t where)
{
	return where && where < OM_WHERE_COUNT ? om_where_name((enum om_where)where) : "unknown";
}
