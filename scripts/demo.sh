#!/usr/bin/env bash
# demo.sh shows shoal at work on one machine that has Go and nothing else: an
# origin and a few nodes on loopback, a real file distributed, and a table of
# bytes by source.
#
#   scripts/demo.sh [--small] [--shoal FILE] [PATH]
#
#   PATH          what to distribute; Go's own tree, as shoal lab does without one
#   --small       a small generated tree instead, to see that it works
#   --shoal FILE  use this binary instead of building one
set -euo pipefail
cd_from=$PWD
cd "$(dirname "$0")/.."
. scripts/lib.sh

small=false shoal= content=
while (($#)); do
	case $1 in
	--small) small=true ;;
	--shoal)
		(($# > 1)) || die "$1 needs a value"
		shoal=$2
		shift
		;;
	--help | -h)
		sed -n '/^#   scripts/,/^#   --shoal/s/^# \{0,3\}//p' scripts/demo.sh
		exit
		;;
	-*) die "unknown flag $1; see --help" ;;
	*) content=$(cd "$cd_from" && cd "$(dirname "$1")" && pwd)/$(basename "$1") ;;
	esac
	shift
done

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

if [ -z "$shoal" ]; then
	say "building"
	shoal=$tmp/shoal
	build_shoal "$shoal"
fi
if $small; then
	content="$tmp/a small tree"
	mkdir -p "$content/día" "$content/empty"
	echo "hello, swarm" >"$content/día/hello.txt"
	: >"$content/día/nothing"
	head -c 3000000 /dev/urandom >"$content/random.bin"
fi
"$shoal" --dir "$tmp/home" lab ${content:+"$content"}
