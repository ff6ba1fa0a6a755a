#!/usr/bin/env bash
# bench-announce.sh is a line of bench.sh: what it costs to announce the files
# and the pieces of a directory of 16 MiB files in a DHT of 20 other nodes, as
# the node itself counts it: DHT messages sent and received, lookups included.
# That is spent once in 22 hours. The limits are 0.1% and 1% of the content.
#
#   scripts/bench-announce.sh [FLAG...]    the same as scripts/bench.sh --only announce FLAG...

# announced FIELD: a field of what the announcer last announced.
announced() {
	"$shoal" --dir "$tmp/announcer" status --json 2>/dev/null | tr -d '\n' |
		sed -n "s/.*\"announce\":{[^}]*\"$1\":\([0-9]*\).*/\1/p"
}

# announce_cost MODE: the cost per GiB in MB, left in cost, once all 20 were told.
announce_cost() {
	local i pid
	start_node "$tmp/announcer" --announce "$1" --bootstrap "$bootstrap" || return
	pid=$node_pid why="20 nodes were not told of the $1 within two minutes"
	for ((i = 0; i < 120; i++)); do
		[ "$(announced peers)" = 20 ] && break
		sleep 1
	done
	cost=$(announced bytes_per_gib | awk '{ printf "%.3f", $1 / 1e6 }')
	[ "$(announced peers)" = 20 ] || cost=
	stop "$pid"
	[ -n "$cost" ]
}

line_announce() {
	local cost mode
	need_swarm || return
	mkdir -p "$tmp/album"
	split -b 16M "$file" "$tmp/album/" || return
	quietly "$shoal" --dir "$tmp/announcer" add "$tmp/album" || return
	for mode in files pieces; do
		announce_cost "$mode" || return
		row "announce $mode, per GiB and 22 h in a DHT of 20, limit" MB "$cost" "$([ $mode = files ] && echo 1.07 || echo 10.7)" 1
	done
	rm -rf "$tmp/album"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	exec "$(dirname "$0")/bench.sh" --only announce "$@"
fi
