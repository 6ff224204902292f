#!/bin/bash
# omegactl without a daemon, as a user meets it: findings, exit codes, streams, help; speaks TAP itself.
# shellcheck disable=SC2034  # conditions are evaluated from strings
set -u
ctl=$PWD/${OMEGA_BUILD:-build}/omegactl
case ${OMEGA_BUILD:-} in /*) ctl=$OMEGA_BUILD/omegactl ;; esac
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
example=$PWD/policies/examples/brane.toml
cd "$dir" || exit 1
unset NO_COLOR
n=0
out='' err='' rc=0

run() { # run ARGS...: stdout, stderr and exit status of omegactl
	rc=0
	out=$("$ctl" --run-dir "$dir/run" --state-dir "$dir/state" "$@" 2>"$dir/stderr") || rc=$?
	err=$(cat "$dir/stderr")
}
check() { # check NAME CONDITION...: a shell condition
	n=$((n + 1))
	if eval "$2"; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		printf 'exit %s\nstdout: %s\nstderr: %s\n' "$rc" "$out" "$err" | head -n 40 | sed 's/^/# /'
	fi
}
in_out() { [[ $out == *"$1"* ]]; }
in_err() { [[ $err == *"$1"* ]]; }

base='[brane.x]
image = "host:"
command = ["/bin/true"]
'
# bad NAME FILE TEXT...: lint exits 3 and each TEXT (position and id) is printed.
bad() {
	local name=$1 file=$2 text ok=0
	shift 2
	run lint "$file"
	[ "$rc" -eq 3 ] || ok=1
	for text; do in_out "$text" || ok=1; done
	check "$name" "[ $ok -eq 0 ]"
}

printf '%s[brane.x.network]\negres = ["10.0.0.1:443"]\n' "$base" >key.toml
bad 'unknown key' key.toml 'key.toml:5:1: error[OM1203]' "did you mean 'egress'?" '    5 | egres' '      | ^^^^^'
printf '%suser = "root"\nworkdir = 3\n' "$base" >type.toml
bad 'wrong type, both of them' type.toml 'type.toml:4:8: error[OM1201]' 'type.toml:5:11: error[OM1201]'
printf '%s[brane.x.limits]\nmemory = 128\ncpu = "5 parsec"\n' "$base" >unit.toml
bad 'wrong unit' unit.toml 'unit.toml:5:10: error[OM1204]' 'unit.toml:6:7: error[OM1204]'
printf '%suser = 1\nuser = 2\n' "$base" >dup.toml
bad 'duplicate' dup.toml 'dup.toml:5:1: error[OM1106]'
printf '%s[brane.x.filesystem]\nread = ["/etc/../shadow", "etc"]\n' "$base" >path.toml
bad 'path with ..' path.toml 'path.toml:5:9: error[OM1301]' 'path.toml:5:27: error[OM1301]'
printf '%s[brane.x.network]\negress = ["10.2.0.1/16:80", "10.0.0.1:0", "10.0.0.1:65536"]\n' "$base" >net.toml
bad 'host bits, port 0, port 65536' net.toml 'net.toml:5:11: error[OM1315]' 'net.toml:5:29: error[OM1305]' \
	'net.toml:5:43: error[OM1305]'
printf '%s[brane.x]\n' "$base" >twice.toml
bad 'two branes of one name' twice.toml 'twice.toml:4:8: error[OM1106]'
{ printf '%s' "$base"; head -c $((257 * 1024)) /dev/zero | tr '\0' '#'; } >big.toml
bad 'a 257 KiB file' big.toml 'error[OM1108]'
{ printf 'x = '; printf '[%.0s' {1..20}; printf ']%.0s' {1..20}; } >deep.toml
bad '20 levels' deep.toml 'deep.toml:1:21: error[OM1109]'
printf '%sworkdir = "/\xff\xfe"\n' "$base" >utf8.toml
bad 'invalid UTF-8' utf8.toml 'utf8.toml:4:13: error[OM1101]' '\xff'
printf '%sworkdir = "/a\0b"\n' "$base" >nul.toml
bad 'NUL' nul.toml 'nul.toml:4:14: error[OM1102]' '\x00'
printf '%s"\xe2\x80\xae\xc2\x9bkey" = 1\n' "$base" >bidi.toml
run lint bidi.toml
check 'what a manifest holds never reaches the terminal raw' \
	"[ $rc -eq 3 ] && ! grep -q \$'\xe2\x80\xae' <<<\"\$out\" && in_out '\\u202e'"

run lint key.toml -o json
check 'findings as JSON' "[ $rc -eq 3 ] && python3 -c '
import json, sys
d = json.load(sys.stdin)
f = d[\"findings\"][0]
assert d[\"v\"] == 1 and f[\"id\"] == \"OM1203\" and (f[\"line\"], f[\"col\"], f[\"len\"]) == (5, 1, 5)
' <<<\"\$out\""
mkdir all twins && cp key.toml dup.toml all/ && cp "$example" all/good.toml && echo junk >all/note.txt
run lint all
check 'a folder is every manifest in it' "[ $rc -eq 3 ] && in_out all/key.toml && in_out all/dup.toml && ! in_out note"
cp "$example" twins/a.toml && cp "$example" twins/b.toml
run lint twins
check 'one brane in two files' "[ $rc -eq 3 ] && in_out 'twins/b.toml' && in_out OM1209"
run lint - <"$example"
check 'stdin' "[ $rc -eq 0 ] && [ -z \"\$out\" ]"
run lint -f "$example"
check 'a good manifest' "[ $rc -eq 0 ] && in_err 'ok, 1 brane'"
run lint nothing.toml
check 'a missing file' "[ $rc -eq 1 ] && in_err 'nothing.toml: No such file'"
for verb in apply run; do
	run "$verb" key.toml
	check "$verb stops at findings without a daemon" "[ $rc -eq $([ $verb = run ] && echo 125 || echo 3) ] && in_err OM1203"
done
run apply --dry-run=client "$example"
check 'dry run at the client' "[ $rc -eq 0 ] && in_out 'brane/api valid'"

run compile "$example" -o out
check 'compile' "[ $rc -eq 0 ] && [ -s out/api/bundle.bin ] && grep -q /etc/debian_version out/api/bpf-lsm.txt &&
	grep -q '127.0.0.1 port 8080 tcp' out/api/cgroup-bpf.txt && grep -qE '^[0-9a-f]{64}\$' out/api/policy-id"
cp -r out first && run compile "$example" -o out
check 'compile gives the same bytes again' "diff -r first out >/dev/null"
run compile key.toml -o none
check 'compile writes nothing for a bad manifest' "[ $rc -eq 3 ] && [ ! -e none ]"

run simulate "$example" -r 'file.read /etc/debian_version'
check 'simulate: allowed' "[ $rc -eq 0 ] && in_out allowed && in_out lsm=allow"
run simulate "$example" -r 'file.read /etc/debian_version' -r 'file.read /etc/shadow'
check 'simulate: denied, with the line' "[ $rc -eq 1 ] && in_out '[brane.api.filesystem] read = [\"/etc/shadow\"]' && in_out lsm=deny"
run simulate "$example" < <(printf '# a comment\nnet.connect 127.0.0.1:8080\nnet.connect 127.0.0.1:8081\n')
check 'simulate: requests on stdin' "[ $rc -eq 1 ] && in_out 'allowed  net.connect' && in_out 'denied  net.connect'"
run simulate "$example" -r 'file.read relative'
check 'simulate: a malformed request' "[ $rc -eq 2 ] && in_err OM1405"
run simulate "$example" -r 'file.read /etc/shadow' --json
check 'simulate as JSON' "[ $rc -eq 1 ] && python3 -c 'import json,sys; r=json.load(sys.stdin)[\"results\"][0]; assert not r[\"allow\"] and r[\"layers\"][\"lsm\"]==\"deny\"' <<<\"\$out\""

run explain
check 'explain lists capabilities' "[ $rc -eq 0 ] && in_out filesystem && in_out network"
run explain network.egress
check 'explain a field' "[ $rc -eq 0 ] && in_out egress && in_out example"
run explain filesytem
check 'explain suggests' "[ $rc -eq 2 ] && in_err \"'filesystem'\""

run get
check 'no daemon' "[ $rc -eq 6 ] && [ -z \"\$out\" ] && in_err 'start omegad' && [ \$(wc -l <<<\"\$err\") -eq 2 ]"
run version
check 'version without a daemon' "[ $rc -eq 6 ] && in_out omegactl"
run events
check 'no log' "[ $rc -eq 1 ] && in_err 'no audit log'"
run gte
check 'an unknown verb' "[ $rc -eq 2 ] && in_err \"did you mean 'get'\" && ! in_err usage: && [ -z \"\$out\" ]"
run security audti
check 'an unknown second word' "[ $rc -eq 2 ] && in_err \"did you mean 'audit'\""
run get --forlow
check 'an unknown option' "[ $rc -eq 2 ] && in_err 'unknown option --forlow'"
run learn -- true
check 'what is not built says what is missing' "[ $rc -eq 1 ] && in_err OM1005 && in_err learning"
run help
check 'help lists what is built' "[ $rc -eq 0 ] && in_out verify-chain && ! in_out learn && ! in_out enable-2fa"
run help exit-codes
check 'help exit-codes' "[ $rc -eq 0 ] && in_out OM3106 && in_out 'daemon unreachable'"
run apply --help
check 'help of a verb' "[ $rc -eq 0 ] && in_out 'usage: omegactl apply' && in_out --dry-run"
ln -s "$ctl" omega && out=$(./omega help 2>&1)
check 'called omega' "in_out 'usage: omega '"
run completion bash
words=$(bash -c 'eval "$1"; COMP_WORDS=(omegactl security ""); COMP_CWORD=2; _omegactl; echo "${COMPREPLY[@]}"' - "$out")
check 'completion of the second word' "[ \"\$words\" = 'audit verify-chain' ]"
words=$(bash -c 'eval "$1"; COMP_WORDS=(omegactl apply --dry-run ""); COMP_CWORD=3; _omegactl; echo "${COMPREPLY[@]}"' - "$out")
check 'completion of a value' "[ \"\$words\" = 'client daemon' ]"
for page in omegactl brane.toml; do
	run help man "$page"
	check "man page $page" "[ $rc -eq 0 ] && in_out .TH && ! grep -qP '[^\\x00-\\x7f]' <<<\"\$out\""
done
run doctor -o json
check 'doctor without a daemon' "python3 -c 'import json,sys; d=json.load(sys.stdin); assert not d[\"omegad\"] and len(d[\"checks\"]) > 5' <<<\"\$out\""

err=$("$ctl" help exit-codes 2>&1 >&- | cat)
"$ctl" help exit-codes 2>"$dir/stderr" | true
err=$(cat "$dir/stderr")
check 'a reader that went away is no error' "[ -z \"\$err\" ]"
if [ -e /dev/full ]; then
	rc=0
	"$ctl" help exit-codes >/dev/full 2>"$dir/stderr" || rc=$?
	err=$(cat "$dir/stderr")
	check 'a full disk is one' "[ $rc -eq 1 ] && in_err OM1002"
fi
out=$(script -qec "$ctl lint key.toml" /dev/null 2>/dev/null </dev/null)
check 'colour on a terminal' "grep -q \$'\e\\[' <<<\"\$out\""
out=$(NO_COLOR=1 script -qec "$ctl lint key.toml" /dev/null 2>/dev/null </dev/null)
check 'none with NO_COLOR' "in_out OM1203 && ! grep -q \$'\e\\[' <<<\"\$out\""
echo "1..$n"
