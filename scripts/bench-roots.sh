#!/usr/bin/env bash
# bench-roots.sh measures a node that holds 50,000 roots: a line of bench.sh,
# which sources it. Run by itself it is bench.sh with this line alone, and takes
# the same flags.
[ "${BASH_SOURCE[0]}" != "$0" ] || exec "$(dirname "$0")/bench.sh" --only '^roots$' "$@"

# cpu PID: hundredths of a second that a process has taken.
cpu() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }

# traffic PID: bytes that its TCP connections have carried both ways. Those of
# the node here are to one peer, and live as long as it.
traffic() {
	ss -tinpH state established | awk -v pid="pid=$1," '
		function field(name) { return match($0, name ":[0-9]+") ? substr($0, RSTART + length(name) + 1, RLENGTH - length(name) - 1) : 0 }
		ours { sum += field("bytes_sent") + field("bytes_received"); ours = 0 }
		index($0, pid) { ours = 1 }
		END { print sum + 0 }'
}

# watch_node PID SECONDS: leaves per cent of a core in load and kB/s in rate.
watch_node() {
	local c=$(cpu "$1") t=$(traffic "$1")
	sleep "$2"
	load=$(awk -v a="$c" -v b="$(cpu "$1")" -v s="$2" 'BEGIN { print (b - a) / s }')
	rate=$(awk -v a="$t" -v b="$(traffic "$1")" -v s="$2" 'BEGIN { print (b - a) / s / 1000 }')
}

# add_roots COUNT: a home with so many roots of about 500 bytes.
add_roots() {
	local i
	mkdir -p "$tmp/tiny"
	awk -v n="$1" -v dir="$tmp/tiny" 'BEGIN {
		for (i = 0; i < n; i++) {
			f = dir "/" i; s = "root " i " "
			for (j = 0; j < 40 + i % 40; j++) s = s (i * 7919 + j) " "
			print s > f; close(f)
		}
	}'
	for ((i = 0; i < $1; i += 2000)); do
		quietly "$shoal" --dir "$tmp/roots" add -q $(seq -f "$tmp/tiny/%.0f" "$i" $((i + 2000 < $1 ? i + 1999 : $1 - 1))) || return
	done
}

line_roots() {
	local roots=50000 seconds=60 from i a=() peer name
	((size > 64)) || roots=1000 seconds=5
	want ss iproute2 || {
		skip "$roots roots" "it needs ss of iproute2"
		return 0
	}
	name="$roots roots"
	add_roots "$roots" || return
	for ((i = 0; i < runs; i++)); do
		((i == 0)) || stop "$node_pid"
		from=$EPOCHREALTIME
		start_node "$tmp/roots" || return
		a+=("$(awk -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')")
	done
	row "$name: start, limit" s "${a[*]}" 2 1
	sleep 5
	watch_node "$node_pid" "$seconds"
	row "$name: memory of the idle node, limit" MB "$(memory "$node_pid" VmRSS)" 100 1
	row "$name: CPU of the idle node, limit" % "$load" 0.5 1
	row "$name: traffic of the idle node, limit" kB/s "$rate" 2 1
	stop "$node_pid"
	start_node "$tmp/neighbour" || return
	peer=$node_addr
	start_node "$tmp/roots" --bootstrap "$peer" || return
	sleep 10 # the first 64 are announced at once
	watch_node "$node_pid" "$seconds"
	row "$name: CPU while they are announced to a peer, limit" % "$load" 0.5 1
	row "$name: traffic while they are announced to a peer, limit" kB/s "$rate" 2 1
	stop_all
}
