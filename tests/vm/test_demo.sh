#!/bin/bash
# The demo's story as a test: each of its claims is one; speaks TAP.
#
# Comes in: OMEGA_BUILD. Goes out: a test a claim, one for the whole (exit status 0 and no claim left
# out: a story that skipped its proofs must not pass), the story as comments where one failed.
set -u
cd "$(dirname "$0")/../.." || exit 1
at_least=20
story=$(mktemp)
trap 'rm -f "$story"' EXIT

BUILD_DIR=${OMEGA_BUILD:-build} NO_COLOR=1 tools/demo-story >"$story" 2>&1 </dev/null
status=$?
n=0 failed=0
while IFS= read -r line; do
	case $line in
	'  ✓ '*) n=$((n + 1)) && echo "ok $n - ${line#'  ✓ '}" ;;
	'  ✗ '*) n=$((n + 1)) failed=1 && echo "not ok $n - ${line#'  ✗ '}" ;;
	esac
done <"$story"
claims=$n
n=$((n + 1))
if [ "$status" -eq 0 ] && [ "$claims" -ge "$at_least" ] && tail -n 1 "$story" | grep -q '^Every claim held'; then
	echo "ok $n - the story is told to its end, with $claims claims"
else
	failed=1
	echo "not ok $n - the story is told to its end (exit $status, $claims claims, at least $at_least wanted)"
fi
[ "$failed" -eq 0 ] || sed 's/^/# /' "$story"
echo "1..$n"
exit "$failed"
