#!/bin/bash
# One name, one function: a global symbol defined in two of our libraries would be picked by link order.
# Comes in: OMEGA_BUILD. Goes out: TAP. It happened once: two functions of one name, and a role started a shim.
set -u
build=${OMEGA_BUILD:-build}
echo 1..2
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
