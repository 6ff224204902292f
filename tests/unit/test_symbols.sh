#!/bin/bash
# One name, one function: a global symbol defined in two of our libraries would be picked by link order.
# Comes in: OMEGA_BUILD. Goes out: TAP. It happened once: two functions of one name, and a role started a shim.
set -u
build=${OMEGA_BUILD:-build}
echo 1..3
libs=("$build"/lib*.a)
[ ${#libs[@]} -ge 5 ] && echo "ok 1 - libraries are there" || echo "not ok 1 - libraries are there"
twice=$(nm -A --defined-only -g "${libs[@]}" 2>/dev/null | awk '$2 ~ /[TDBR]/ || $3 ~ /^[TDBR]$/ { print $NF }' |
	grep '^om_' | sort | uniq -d)
if [ -z "$twice" ]; then
	echo "ok 2 - no name is defined twice"
else
	echo "# defined twice: $twice"
	echo "not ok 2 - no name is defined twice"
fi
# The switch that makes BPF helpers fail is for a build of its own: the objects that are shipped have none.
objects=("$build"/bpf/*.bpf.o)
if [ -e "${objects[0]}" ] && ! grep -l om_faults "${objects[@]}"; then
	echo "ok 3 - no object can be told to fail"
else
	echo "not ok 3 - no object can be told to fail"
fi
