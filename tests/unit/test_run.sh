#!/bin/bash
# The test driver against programs that misbehave in every way it must notice; speaks TAP itself.
set -u
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n=0

# expect NAME LAST-LINE STATUS SCRIPT...: run the driver over one program made of SCRIPT.
expect() {
	local name=$1 last=$2 status=$3 out rc=0
	shift 3
	printf '#!/bin/bash\n%s\n' "$*" >"$dir/prog"
	chmod +x "$dir/prog"
	out=$(tests/run --timeout 2 "$dir/prog" 2>&1) || rc=$?
	n=$((n + 1))
	if [ "$(tail -n 1 <<<"$out")" = "$last" ] && [ "$rc" -eq "$status" ]; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		sed 's/^/# /' <<<"$out (exit status $rc)"
	fi
}

expect 'passes' '2 passed, 0 failed' 0 'echo 1..2; echo ok 1 - a; echo ok 2 - b'
expect 'plan at the end' '1 passed, 0 failed' 0 'echo ok 1 - a; echo 1..1'
expect 'two groups' '2 passed, 0 failed' 0 'for _ in 1 2; do echo 1..1; echo ok 1 - a; done'
expect 'not ok' '1 passed, 1 failed' 1 'echo 1..2; echo ok 1 - a; echo not ok 2 - b; exit 1'
expect 'not ok, status 0' '0 passed, 1 failed' 1 'echo 1..1; echo not ok 1 - b'
expect 'skip as cmocka says it' '1 passed, 0 failed, 1 skipped' 0 \
	'echo 1..2; echo ok 1 - a; echo "# skip: no such kernel"; echo "not ok 2 # SKIP b"'
expect 'skip as TAP says it' '1 passed, 0 failed, 1 skipped' 0 \
	'echo 1..2; echo ok 1 - a; echo "ok 2 - b # SKIP why"'
expect 'everything skipped is not a success' '0 passed, 0 failed, 1 skipped' 1 'echo "1..0 # SKIP why"'
expect 'no plan' '1 passed, 1 failed' 1 'echo ok 1 - a'
expect 'nothing at all' '0 passed, 1 failed' 1 'true'
expect 'plan not fulfilled' '1 passed, 2 failed' 1 'echo 1..3; echo ok 1 - a'
expect 'crash' '1 passed, 2 failed' 1 'echo 1..2; echo ok 1 - a; kill -SEGV $$'
expect 'crash after the last test' '1 passed, 1 failed' 1 'echo 1..1; echo ok 1 - a; kill -ABRT $$'
expect 'exit status disagrees' '1 passed, 1 failed' 1 'echo 1..1; echo ok 1 - a; exit 3'
expect 'no end' '1 passed, 2 failed' 1 'echo 1..2; echo ok 1 - a; sleep 60'
expect 'a child flushes the same line' '1 passed, 0 failed' 0 'echo 1..1; echo ok 1 - a; echo ok 1 - a'
echo "1..$n"
