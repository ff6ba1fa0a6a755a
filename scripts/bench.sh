#!/usr/bin/env bash
# bench.sh measures shoal against the tools one would use instead, and its
# limits. Every line is a ratio of two things measured in the same run, each the
# median of alternating runs, so the machine cancels out.
#
#   scripts/bench.sh [--runs N] [--size MIB] [--smoke] [--json] [--only REGEX]
#                    [--work DIR] [--shoal FILE]
#
#   --runs N      runs of each side, 5
#   --size MIB    size of the file in MiB, 1024
#   --smoke       64 MiB, one run: shows that every line can still be measured
#   --json        an array instead of a table
#   --only REGEX  the lines whose name matches
#   --work DIR    where files and homes go, so which disk is measured; $TMPDIR or /tmp
#   --shoal FILE  measure this binary instead of building one
#
# It exits 1 when a line could not be measured. A line that needs what this
# machine lacks is skipped, and says so; a missed target is "no" under ok.
#
# A line is a function line_NAME below: it calls `row`, or returns 1 with the
# reason in why, or calls `skip`. Add its name to lines.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
. scripts/lib.sh

lines=(get add origin serve idle first)
runs=5 size=1024 json=false only=. work=${TMPDIR:-/tmp} shoal=

usage() { sed -n '/^#   scripts/,/^#   --shoal/s/^# \{0,3\}//p' scripts/bench.sh; }

while (($#)); do
	case $1 in
	--smoke) size=64 runs=1 ;;
	--json) json=true ;;
	--help | -h) usage && exit ;;
	--runs | --size | --only | --work | --shoal)
		(($# > 1)) || die "$1 needs a value"
		printf -v "${1#--}" %s "$2"
		shift
		;;
	*)
		usage >&2
		exit 2
		;;
	esac
	shift
done
[[ $runs =~ ^[1-9][0-9]*$ && $size =~ ^[1-9][0-9]*$ ]] || die "--runs and --size are whole numbers from 1"
if [ "$(uname)" != Linux ]; then
	say "skipped: it reads /proc, so it runs on Linux only"
	exit
fi

# The names, results and reasons of the lines measured so far.
names=() units=() ours=() others=() ratios=() targets=() oks=() unmeasured=0

# row NAME UNIT OURS OTHERS TARGET [STRETCH]: a measured line. OURS and OTHERS
# are lists of numbers in UNIT; the ratio of their medians should be TARGET at most.
row() {
	local a b ratio ok=no
	a=$(median $3) b=$(median $4)
	ratio=$(awk -v a="$a" -v b="$b" 'BEGIN { printf "%.2f", a / b }')
	awk -v a="$a" -v b="$b" -v t="$5" 'BEGIN { exit !(a / b <= t) }' && ok=yes
	names+=("$1") units+=("$2") ours+=("$a") others+=("$b") ratios+=("$ratio")
	targets+=("<=$5${6:+ ($6)}") oks+=("$ok")
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

# https_tools NAME: true when nginx, curl and openssl are there; else the line is skipped.
https_tools() {
	want nginx nginx && want curl curl ca-certificates && want openssl openssl && return
	skip "$1" "it needs nginx, curl and openssl; install them or run as root"
	return 1
}

# calm: nothing of the run before is left to be written while the next is timed.
calm() {
	rm -rf "$tmp/client" "$tmp/got"
	sync
}

# same: what was fetched is the file.
same() {
	cmp -s "$tmp/got" "$file" && return
	why="$1 fetched something else"
	return 1
}

run_curl() {
	calm
	quietly timed curl -q -sS -f --noproxy '*' --cacert "$cert" -o "$tmp/got" "$https/file.bin" && same curl
}

# run_get FLAG...: fetch the file with shoal from a fresh home.
run_get() {
	calm
	SSL_CERT_FILE=${cert:-} quietly timed "$shoal" --dir "$tmp/client" get "$cid" -o "$tmp/got" \
		--listen /ip4/127.0.0.1/tcp/0 --mdns off --portmap off "$@" && same shoal
}

# start_seed: a node that holds the file and may upload as fast as it can.
start_seed() {
	rm -rf "$tmp/seed"
	quietly "$shoal" --dir "$tmp/seed" add "$file" && start_node "$tmp/seed" --upload unlimited
}

line_get() {
	local name="get over loopback, curl over HTTPS" a=() b=() i
	https_tools "$name" || return 0
	serve_https "$tmp/www" "$tmp/nginx" && start_seed || return
	for ((i = 0; i < runs; i++)); do
		run_get --peer "$node_addr" || return
		a+=("$elapsed")
		run_curl || return
		b+=("$elapsed")
	done
	stop "$node_pid"
	row "$name" s "${a[*]}" "${b[*]}" 1.6 1.2
}

line_add() {
	local a=() b=() i
	for ((i = 0; i < runs; i++)); do
		calm
		quietly timed "$shoal" --dir "$tmp/client" add "$file" || return
		a+=("$elapsed")
		quietly timed sha256sum "$file" || return
		b+=("$elapsed")
	done
	row "add, sha256sum" s "${a[*]}" "${b[*]}" 0.8 0.6
}

line_origin() {
	local name="get --origin without peers, curl" a=() b=() i
	https_tools "$name" || return 0
	serve_https "$tmp/www" "$tmp/nginx" || return
	quietly "$shoal" --dir "$tmp/tree" add --tree "$tmp/www/file.bin.shoal" "$file" || return
	for ((i = 0; i < runs; i++)); do
		run_get --origin "$https/file.bin" || return
		a+=("$elapsed")
		run_curl || return
		b+=("$elapsed")
	done
	row "$name" s "${a[*]}" "${b[*]}" 1.1
}

# need_swarm: the swarm is up; it is started once, and what failed then fails again.
need_swarm() {
	if [ -z "$swarm_state" ]; then
		swarm_state=up
		start_swarm || swarm_state=$why
	fi
	why=$swarm_state
	[ "$swarm_state" = up ]
}
swarm=() swarm_state= bootstrap=

# start_swarm: 20 nodes that know one of them, the last holding the file.
start_swarm() {
	local i
	quietly "$shoal" --dir "$tmp/swarm19" add "$file" || return
	for ((i = 0; i < 20; i++)); do
		start_node "$tmp/swarm$i" --upload unlimited ${bootstrap:+--bootstrap "$bootstrap"} || return
		bootstrap=${bootstrap:-$node_addr}
		swarm+=("$node_pid")
	done
}

# found_by_swarm: another node of the swarm finds the holder.
found_by_swarm() {
	local i
	for ((i = 0; i < 60; i++)); do
		quietly timeout 20 "$shoal" --dir "$tmp/swarm7" find "$cid" && [ -s "$tmp/stdout" ] && return
		sleep 1
	done
	why="none of 20 nodes found the holder within a minute: $(tail -n 1 "$tmp/stderr")"
	return 1
}

line_idle() {
	local pid a=()
	need_swarm || return
	sleep 5 # what starting needed is returned, or is not
	for pid in "${swarm[@]}"; do
		a+=("$(memory "$pid" VmRSS)")
	done
	row "memory of an idle node, worst of 20, limit" MB "$(printf '%s\n' "${a[@]}" | sort -n | tail -n 1)" 64 1
}

line_first() {
	local a=() i
	need_swarm && found_by_swarm || return
	for ((i = 0; i < runs; i++)); do
		calm
		quietly timed "$shoal" --dir "$tmp/client" cat --range 0-1 "$cid" --bootstrap "$bootstrap" \
			--listen /ip4/127.0.0.1/tcp/0 --mdns off --portmap off || return
		a+=("$elapsed")
		if ! [ -s "$tmp/stdout" ] || ! cmp -s "$tmp/stdout" <(head -c "$(stat -c %s "$tmp/stdout")" "$file"); then
			why="cat --range 0-1 printed something else"
			return 1
		fi
	done
	row "first byte by a DHT of 20 and one bootstrap peer, limit" s "${a[*]}" 1 1
}

line_serve() {
	local a=() i pid peak now
	start_seed || return
	for ((i = 0; i < runs; i++)); do
		calm
		"$shoal" --dir "$tmp/client" get "$cid" -o "$tmp/got" --peer "$node_addr" \
			--listen /ip4/127.0.0.1/tcp/0 --mdns off --portmap off </dev/null >"$tmp/stdout" 2>"$tmp/stderr" &
		pid=$! peak=0
		pids[$pid]=1
		while now=$(memory "$pid" VmHWM) && [ -n "$now" ]; do # VmHWM only grows, so the last look is the peak
			peak=$now
			sleep 0.02
		done
		if ! reap "$pid"; then
			why="get failed: $(tail -n 1 "$tmp/stderr")"
			return 1
		fi
		same shoal || return
		a+=("$peak")
	done
	row "peak memory of fetching, limit" MB "${a[*]}" 200 1
	row "peak memory of serving, limit" MB "$(memory "$node_pid" VmHWM)" 200 1
	stop "$node_pid"
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
	local i format='%-56s | %9s | %9s | %5s | %-12s | %s\n'
	printf "$format" line shoal other ratio target ok
	for i in "${!names[@]}"; do
		printf "$format" "${names[i]}" "$(shown "${ours[i]}" "${units[i]}")" "$(shown "${others[i]}" "${units[i]}")" \
			"${ratios[i]}" "${targets[i]}" "${oks[i]}"
	done
}

tmp=$(mktemp -d "$work/shoal-bench.XXXXXX") || exit
trap 'stop_all; rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -z "$shoal" ]; then
	shoal=$tmp/shoal
	build_shoal "$shoal" || die "cmd/shoal does not build"
fi
mkdir "$tmp/www"
file=$tmp/www/file.bin
head -c $((size << 20)) /dev/urandom >"$file"
quietly "$shoal" --dir "$tmp/hash" add -q --only-hash "$file" || die "$why"
cid=$(cat "$tmp/stdout")
say "$size MiB, $runs runs, $(nproc) cores, Linux $(uname -r), $("$shoal" version 2>/dev/null | head -n 1), files on $(stat -f -c %T "$tmp")"

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
