#!/usr/bin/env bash
# bench.sh measures shoal against the tools one would use instead, and its
# limits. Every line is a ratio of two things measured in the same run, each the
# median of alternating runs, so the machine cancels out.
#
#   scripts/bench.sh [TABLE] [--runs N] [--size MIB] [--smoke] [--json] [--only REGEX]
#                    [--work DIR] [--chart FILE] [--shoal FILE]
#
#   crowd         the table of crowds in network namespaces, instead of the first one
#   origin        the table of an HTTP origin and a crowd, in namespaces too
#   --runs N      runs of each side, 5; of crowds and origins 1
#   --size MIB    size of the file in MiB, 1024
#   --smoke       64 MiB, one run: shows that every line can still be measured
#   --json        an array instead of a table
#   --only REGEX  the lines whose name in the list below matches, such as tree
#   --work DIR    where files and homes go, so which disk is measured; $TMPDIR or /tmp
#   --chart FILE  draw the chart of a table that has one, as SVG
#   --shoal FILE  measure this binary instead of building one
#
# It exits 1 when a line could not be measured. A line that needs what this
# machine lacks is skipped, and says so; a missed target is "no" under ok.
#
# The lines of the first table are in scripts/lines.sh, and one with its helpers each
# in the files scripts/bench-NAME.sh, which define line_NAME; those of another in
# scripts/lines-TABLE.sh, which names them in lines and may define prepare.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
. scripts/lib.sh

runs='' size=1024 json=false only=. work='' shoal='' smoke=false chart='' table=''

usage() { sed -n '/^#   scripts/,/^#   --shoal/s/^# \{0,3\}//p' scripts/bench.sh; }

while (($#)); do
	case $1 in
	--smoke) size=64 runs=1 smoke=true ;;
	--json) json=true ;;
	--help | -h) usage && exit ;;
	--runs | --size | --only | --work | --chart | --shoal)
		(($# > 1)) || die "$1 needs a value"
		printf -v "${1#--}" %s "$2"
		shift
		;;
	*)
		if [[ ! $1 =~ ^[a-z]+$ || -n $table || ! -f scripts/lines-$1.sh ]]; then
			usage >&2
			exit 2
		fi
		table=$1
		;;
	esac
	shift
done
. "scripts/lines${table:+-$table}.sh"
: "${runs:=5}" "${work:=${TMPDIR:-/tmp}}"
[[ $runs =~ ^[1-9][0-9]*$ && $size =~ ^[1-9][0-9]*$ ]] || die "--runs and --size are whole numbers from 1"
if [ "$(uname)" != Linux ]; then
	say "skipped: it reads /proc, so it runs on Linux only"
	exit
fi

# The names, results and reasons of the lines measured so far.
names=() units=() ours=() others=() ratios=() targets=() oks=() unmeasured=0

# row NAME UNIT OURS OTHERS [TARGET [STRETCH]]: a measured line. OURS and OTHERS
# are lists of numbers in UNIT; the ratio of their medians should be TARGET at most.
row() {
	local a b ratio ok=no
	a=$(median $3) b=$(median $4)
	ratio=$(awk -v a="$a" -v b="$b" 'BEGIN { printf (a / b < 0.1 ? "%.4f" : "%.2f"), a / b }')
	awk -v a="$a" -v b="$b" -v t="${5:-0}" 'BEGIN { exit !(a / b <= t) }' && ok=yes
	names+=("$1") units+=("$2") ours+=("$a") others+=("$b") ratios+=("$ratio")
	targets+=("${5:+<=$5}${6:+ ($6)}") oks+=("${5:+$ok}")
}

# without NAME WORDS: a line without figures, and why.
without() {
	names+=("$1") units+=("") ours+=("") others+=("") ratios+=("") targets+=("") oks+=("$2")
}

# skip NAME REASON: a line that cannot be measured here.
skip() { without "$1" "skipped: $2"; }

# shown NUMBER UNIT: three digits that matter are enough.
shown() {
	[ -n "$1" ] || return
	awk -v n="$1" -v unit="$2" 'BEGIN { printf(n < 10 ? "%.2f %s" : n < 100 ? "%.1f %s" : "%.0f %s", n, unit) }'
}

# quietly COMMAND...: run it; when it fails, its last words are the reason.
quietly() {
	"$@" </dev/null >"$tmp/stdout" 2>"$tmp/stderr" && return
	[ "$1" != timed ] || shift
	[ "${2:-}" != --dir ] || set -- "$1 $4"
	why="$(basename "$1") failed: $(tail -n 3 "$tmp/stderr" | tr '\n' ' ')"
	return 1
}

# text VALUE: VALUE as a JSON string.
text() {
	local s=${1//\\/\\\\}
	s=${s//\"/\\\"}
	printf '"%s"' "${s//[[:cntrl:]]/ }"
}

print_json() {
	local i sep='['
	for i in "${!names[@]}"; do
		printf '%s{"line":%s,"unit":%s,"shoal":%s,"other":%s,"ratio":%s,"target":%s,"ok":%s}' "$sep" "$(text "${names[i]}")" "$(text "${units[i]}")" \
			"${ours[i]:-null}" "${others[i]:-null}" "${ratios[i]:-null}" "$(text "${targets[i]}")" "$(text "${oks[i]}")"
		sep=$',\n '
	done
	echo ']'
}

print_table() {
	local i width=4 format
	for i in "${names[@]}"; do
		((${#i} <= width)) || width=${#i}
	done
	format="%-${width}s | %9s | %9s | %6s | %-13s | %s\\n"
	printf "$format" line shoal other ratio target ok
	for i in "${!names[@]}"; do
		printf "$format" "${names[i]}" "$(shown "${ours[i]}" "${units[i]}")" "$(shown "${others[i]}" "${units[i]}")" \
			"${ratios[i]}" "${targets[i]}" "${oks[i]}"
	done
}

tmp=$(mktemp -d "$work/shoal-bench.XXXXXX") || exit
trap 'stop_all; drop_netns; rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -z "$shoal" ]; then
	shoal=$tmp/shoal
	build_shoal "$shoal" || die "cmd/shoal does not build"
fi
say "$runs runs, $(nproc) cores, Linux $(uname -r), $("$shoal" version 2>/dev/null | head -n 1), files on $(stat -f -c %T "$tmp")"
prepare || die "$why"

for line in "${lines[@]}"; do
	[[ $line =~ $only ]] || continue
	why="no reason given"
	if ! "line_$line"; then
		without "$line" "not measured: $why"
		unmeasured=$((unmeasured + 1))
	fi
done
if $json; then print_json; else print_table; fi
((unmeasured == 0))
