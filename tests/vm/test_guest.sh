#!/bin/bash
# What the other tests may rely on inside the machine; speaks TAP.
set -u
n=0
check() { # NAME COMMAND...
	local name=$1 out
	shift
	n=$((n + 1))
	if out=$("$@" 2>&1); then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		sed 's/^/# /' <<<"$out"
	fi
}
has_words() { # FILE WORD...
	local file=$1 word
	shift
	for word; do
		tr ', ' '\n\n' <"$file" | grep -qx "$word" || { echo "$word is not in $(cat "$file")"; return 1; }
	done
}
mounted() { # TYPE DIR
	awk -v t="$1" -v d="$2" '$2 == d && $3 == t { ok = 1 } END { exit !ok }' /proc/mounts
}
refused() { # COMMAND...
	! "$@"
}
pivots() {
	unshare -m bash -c 'mkdir -p /tmp/p && mount -t tmpfs t /tmp/p && mkdir /tmp/p/old && pivot_root /tmp/p /tmp/p/old'
}

check 'the BPF LSM is on' has_words /sys/kernel/security/lsm bpf landlock lockdown
check 'types for CO-RE' test -s /sys/kernel/btf/vmlinux
check 'cgroup2 alone' mounted cgroup2 /sys/fs/cgroup
check 'controllers reach the children' has_words /sys/fs/cgroup/cgroup.subtree_control cpu memory pids io
check 'bpffs' mounted bpf /sys/fs/bpf
check 'tracefs' test -e /sys/kernel/tracing/available_tracers
check 'memory on /tmp' mounted tmpfs /tmp
check 'memory on /run' mounted tmpfs /run
check 'state below /var' mkdir -p /var/lib/omega-test
check 'the host is not written to' refused touch /etc/omega-test
check 'the build directory is' bash -c 'touch build/vm/.guest && rm build/vm/.guest'
check 'lo is up' grep -q 00000000000000000000000000000001 /proc/net/if_inet6
check 'modules load by name' modprobe nft_socket
check 'and by need' bash -c 'ip link add omega0 type veth peer name omega1 && ip link del omega0'
check 'a root that pivots' pivots
check 'namespaces of every kind' unshare -mipunCT --fork true
echo "1..$n"
