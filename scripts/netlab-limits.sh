#!/usr/bin/env bash
# netlab-limits.sh is the lab of limits: two hosts by a cable, one fetches from the
# other, and either holds itself to a rate.
#
#   scripts/netlab.sh limits [--rate R] [--shoal FILE]
#
#   --rate R      Mbit/s; 20
#   --shoal FILE  use this binary instead of building one
#
# Prints for each transport and direction what went in 10 s, of what the rate
# allows: payload as the receiver counts it, and bytes in Ethernet frames.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
. scripts/lib.sh

shoal='' rate=20
while (($#)); do
	case $1 in
	--help | -h)
		sed -n '/^#   scripts/,/^# allows/s/^# \{0,3\}//p' scripts/netlab-limits.sh
		exit
		;;
	--rate | --shoal)
		(($# > 1)) || die "$1 needs a value"
		printf -v "${1#--}" %s "$2"
		shift
		;;
	*) die "unknown argument $1; see --help" ;;
	esac
	shift
done
need_netns
tmp=$(mktemp -d) || exit
trap 'stop_all; drop_netns; rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
[ -n "$shoal" ] || { shoal=$tmp/shoal && build_shoal "$shoal"; } || die "it does not build"
head -c $((rate * 125000 * 20)) /dev/urandom >"$tmp/content" || exit

# wire: bytes that the sender's cable has carried. payload: that the receiver got.
wire() { ip -n "$from" -s link show eth0 | awk "/TX:/ { getline; print \$1 }"; }
payload() { timeout 5 "$shoal" --dir "$home.to" --json status | grep -o '"received":[0-9]*' | cut -d: -f2 | sort -n | tail -n 1; }

# measure TRANSPORT DIRECTION
measure() {
	local up=unlimited down=unlimited addr listen=/tcp/7461 cid i w p t
	home=$tmp/$1-$2 from=limits$$$1$2a to=limits$$$1$2b
	[ "$1" = quic ] && listen=/udp/7461/quic-v1
	[ "$2" = upload ] && up=${rate}Mbit/s || down=${rate}Mbit/s
	add_netns "$from" && add_netns "$to" && ip link add eth0 netns "$from" type veth peer name eth0 netns "$to" &&
		cable "$from" eth0 11.0.0.1 && cable "$to" eth0 11.0.0.2 || return
	ip netns exec "$from" "$shoal" --dir "$home.from" share --listen "/ip4/11.0.0.1$listen" --mdns off --portmap off \
		--upload "$up" "$tmp/content" </dev/null >"$home.out" 2>"$home.err" &
	pids[$!]=1
	for ((i = 0; i < 200; i++)); do
		grep -qs '^shoal: ready' "$home.err" && break
		sleep 0.05
	done
	cid=$(cat "$home.out") addr=$(sed -n 's/^shoal: listening on //p' "$home.err" | head -n 1)
	ip netns exec "$to" "$shoal" --dir "$home.to" get --listen "/ip4/11.0.0.2$listen" --mdns off --portmap off \
		--download "$down" --peer "$addr" -o "$home.got" "$cid" </dev/null >"$home.path" 2>"$home.say" &
	pids[$!]=1
	sleep 3
	p=$(payload) w=$(wire) t=$EPOCHREALTIME
	sleep 10
	w=$(($(wire) - w)) t=$(awk -v a="$t" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }') p=$(($(payload) - p))
	awk -v what="$1 --$2 ${rate}Mbit/s" -v w="$w" -v p="$p" -v t="$t" -v r="$rate" \
		'BEGIN { printf "%-28s payload %.3f, wire %.3f of the rate\n", what, p / t / r / 125000, w / t / r / 125000 }'
}

for transport in tcp quic; do
	for direction in upload download; do
		measure $transport $direction || die "$transport $direction cannot be measured"
	done
done
