#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Each NAME.conf, read with the options in NAME.args if there is one, must
# give NAME.ok.  The shipped sample must be accepted, and every keyword must
# be in the sample and in pptpd.conf(5).
#
#	run.sh [--update] [DUMP]
#
# DUMP is the built tests/conf/dump; without it, it is compiled here with
# $CC and $CFLAGS.  --update writes the .ok files anew: read the diff.
set -u
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
update=no
if [ "${1-}" = --update ]; then
	update=yes
	shift
fi
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
dump=${1-}
if [ -z "$dump" ]; then
	dump=$work/dump
	# shellcheck disable=SC2086
	${CC:-cc} -std=c11 -D_GNU_SOURCE ${CFLAGS--O1 -g} -I"$top/pptpctrl" \
	    -I"$here" -o "$dump" "$here/dump.c" "$top"/pptpctrl/conf*.c || exit 1
fi
case $dump in
/*)	;;
*)	dump=$PWD/$dump ;;
esac
unset POSIXLY_CORRECT
passed=0
failed=0

fail()
{
	failed=$((failed + 1))
	echo "FAIL $1"
}

pass()
{
	passed=$((passed + 1))
}

cd "$here" || exit 1
for conf in *.conf; do
	name=${conf%.conf}
	args=
	[ -f "$name.args" ] && args=$(cat "$name.args")
	# shellcheck disable=SC2086
	"$dump" $args -c "$conf" >"$work/out" 2>"$work/err"
	status=$?
	# A new version is no reason to touch these files.
	sed 's/^pptpd v[^ ]* (/pptpd vVERSION (/' "$work/out" >"$work/new" &&
	    mv "$work/new" "$work/out"
	if [ "$update" = yes ]; then
		cp "$work/out" "$name.ok"
	fi
	if [ "$status" -ne 0 ]; then
		fail "$conf: dump ended with status $status"
		cat "$work/err"
	elif [ ! -f "$name.ok" ]; then
		fail "$conf: no $name.ok (run.sh --update writes it)"
	elif ! diff -u "$name.ok" "$work/out"; then
		fail "$conf"
	else
		pass
	fi
done

# What we ship is test input too.
sample=$top/etc/pptpd.conf
"$dump" -c "$sample" >"$work/out" 2>&1
if grep -q '^refused\|^error' "$work/out"; then
	fail "$sample is refused"
	cat "$work/out"
else
	pass
fi
for keyword in $("$dump" --keywords); do
	if ! grep -q "^\.It Ic $keyword\( \|\$\)" "$top/etc/pptpd.conf.5"; then
		fail "etc/pptpd.conf.5 has no keyword $keyword"
	elif ! grep -q "^#* *$keyword\( \|\$\)" "$sample"; then
		fail "etc/pptpd.conf has no keyword $keyword"
	else
		pass
	fi
done
echo "conf: $passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
