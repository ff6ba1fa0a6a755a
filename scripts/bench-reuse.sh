#!/usr/bin/env bash
# bench-reuse.sh measures what a second root costs that shares 95% of its pieces
# with one that is at hand: lines of bench.sh, which sources it. Run by itself it
# is bench.sh with these lines alone, and takes the same flags.
[ "${BASH_SOURCE[0]}" != "$0" ] || exec "$(dirname "$0")/bench.sh" --only '^reuse$' "$@"

# two_albums: $tmp/album1 has the bench's file in files of 1 MiB; $tmp/album2 is
# the same but for every twentieth of them. The new bytes, in MB, are left in new.
two_albums() {
	local f i=0 fresh=0
	mkdir -p "$tmp/album1" &&
		split -a 4 -b 1M "$file" "$tmp/album1/" &&
		cp -r "$tmp/album1" "$tmp/album2" || return
	for f in "$tmp"/album2/*; do
		((i++ % 20 == 0)) || continue
		head -c 1M /dev/urandom >"$f" || return
		fresh=$((fresh + 1))
	done
	new=$(awk -v n="$fresh" 'BEGIN { print n * 1048576 / 1e6 }')
}

# fetched HOME FLAG...: get the second album and leave in got the MB that came
# from elsewhere than this disk.
fetched() {
	local home=$1
	shift
	quietly "$shoal" --dir "$home" get "$second" --peer "$node_addr" --json \
		--listen /ip4/127.0.0.1/tcp/0 --mdns off --portmap off "$@" || return
	got=$(grep -oE '"(lan|wan|relay|origin)":\{"bytes":[0-9]+' "$tmp/stdout" | awk -F: '{ n += $3 } END { print n / 1e6 }')
	diff -r "$tmp/album2" "$tmp/got" >/dev/null && return
	why="what was fetched differs"
	return 1
}

line_reuse() {
	local what="second root, 95% shared:" new got first second held=() using=() update=() i
	two_albums &&
		quietly "$shoal" --dir "$tmp/seed-albums" add -q "$tmp/album1" "$tmp/album2" || return
	{ read -r first && read -r second; } <"$tmp/stdout"
	start_node "$tmp/seed-albums" --upload unlimited || return
	for ((i = 0; i < runs; i++)); do
		rm -rf "$tmp/held" "$tmp/fresh" "$tmp/got"
		quietly "$shoal" --dir "$tmp/held" get "$first" --peer "$node_addr" -o "$tmp/got" \
			--listen /ip4/127.0.0.1/tcp/0 --mdns off --portmap off || return
		fetched "$tmp/held" -o "$tmp/got" --update || return
		update+=("$got")
		rm -rf "$tmp/got" "$tmp/held"
		quietly "$shoal" --dir "$tmp/held" add -q "$tmp/album1" || return
		fetched "$tmp/held" -o "$tmp/got" || return
		held+=("$got")
		rm -rf "$tmp/got"
		fetched "$tmp/fresh" -o "$tmp/got" --using "$tmp/album1" || return
		using+=("$got")
	done
	stop "$node_pid"
	row "$what fetched with one held, missing" MB "${held[*]}" "$new" 1.05
	row "$what the same with --using" MB "${using[*]}" "$new" 1.05
	row "$what the same with --update" MB "${update[*]}" "$new" 1.05
	rm -rf "$tmp/held" "$tmp/fresh" "$tmp/got" "$tmp/album1" "$tmp/album2" "$tmp/seed-albums"
}
