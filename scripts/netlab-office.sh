#!/usr/bin/env bash
# netlab-office.sh is the lab of offices: a holder far away, and desks on one LAN
# behind a router with one public address, which translates theirs.
#
#   scripts/netlab.sh office [--desks N] [--size MIB] [--line R] [--apart] [--mdns] [--shoal FILE]
#
#   --desks N     that fetch the same at once; 6
#   --size MIB    of the content; 32
#   --line R      Mbit/s of the office's line, each way; 20
#   --apart       every desk in a subnet of its own: no interface says that others are near
#   --mdns        desks find each other by mDNS too
#   --late        then one more desk comes when all have it: what does it take over the line?
#   --shoal FILE  use this binary instead of building one
#
# Prints the copies that came over the line, as its queue counted them, headers
# included; the share of bytes that desks had from each other; and the seconds to
# the last of them, of those that one copy takes.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
. scripts/lib.sh

shoal='' desks=6 size=32 line=20 apart=0 mdns=off late=0
while (($#)); do
	case $1 in
	--apart) apart=1 ;;
	--mdns) mdns=on ;;
	--late) late=1 ;;
	--help | -h)
		sed -n '/^#   scripts/,/^# the last/s/^# \{0,3\}//p' scripts/netlab-office.sh
		exit
		;;
	--desks | --size | --line | --shoal)
		(($# > 1)) || die "$1 needs a value"
		printf -v "${1#--}" %s "$2"
		shift
		;;
	*) die "unknown argument $1; see --help" ;;
	esac
	shift
done
need_netns
want nft nftables || die "this needs nft (Debian: nftables)"
tmp=$(mktemp -d) || exit
trap 'stop_all; drop_netns; rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
[ -n "$shoal" ] || { shoal=$tmp/shoal && build_shoal "$shoal"; } || die "it does not build"
id=office$$
router=${id}r
all=$((desks + late))

# wire: holder 11.0.0.1 - 11.0.0.2 router 192.168.x.1 - 192.168.x.1y desks
wire() {
	local i net
	add_netns "${id}h" && add_netns "$router" || return
	ip link add eth0 netns "${id}h" type veth peer name wan netns "$router" || return
	cable "${id}h" eth0 11.0.0.1 && cable "$router" wan 11.0.0.2 || return
	ip -n "${id}h" route add default via 11.0.0.2
	ip netns exec "$router" sysctl -qw net.ipv4.ip_forward=1
	ip netns exec "$router" nft -f - <<-END || return
		table ip nat {
			chain post { type nat hook postrouting priority 100; oifname "wan" masquerade; }
		}
		table ip filter {
			chain in { type filter hook input priority 0; iifname "wan" ct state new drop; }
			chain forward { type filter hook forward priority 0; iifname "wan" ct state new drop; }
		}
	END
	ip -n "$router" link add lan type bridge && ip -n "$router" link set lan up || return
	for ((i = 1; i <= all; i++)); do
		add_netns "${id}d$i" && ip link add eth0 netns "${id}d$i" type veth peer name "p$i" netns "$router" || return
		net=192.168.5
		if ((apart)); then
			net=10.77.$i
			cable "$router" "p$i" "$net.1" || return
		else
			ip -n "$router" link set "p$i" master lan up || return
		fi
		cable "${id}d$i" eth0 "$net.$((10 + i))" && ip -n "${id}d$i" route add default via "$net.1" 2>/dev/null
	done
	((apart)) || { cable "$router" lan 192.168.5.1 && for ((i = 1; i <= all; i++)); do ip -n "${id}d$i" route replace default via 192.168.5.1; done; }
	tc -n "${id}h" qdisc replace dev eth0 root tbf rate "${line}mbit" burst 64kb latency 100ms
	tc -n "$router" qdisc replace dev wan root tbf rate "${line}mbit" burst 64kb latency 100ms
}

# over: bytes that came to the office over its line.
over() { tc -n "${id}h" -s qdisc show dev eth0 | awk '/Sent/ { print $2 }'; }

# desk N: fetch, as desk N, and stay.
desk() {
	ip netns exec "${id}d$1" "$shoal" --dir "$tmp/d$1" --json get --peer "$holder" --mdns "$mdns" --portmap off \
		--upload unlimited --seed -o "$tmp/d$1.bin" "$cid" </dev/null >"$tmp/d$1.json" 2>"$tmp/d$1.err" &
	pids[$!]=1
}

# got N...: wait until these desks have it.
got() {
	local i try
	for i in "$@"; do
		for ((try = 0; try < 2400; try++)); do
			[ -s "$tmp/d$i.json" ] && break
			sleep 0.05
		done
		[ -s "$tmp/d$i.json" ] || die "desk $i is not done: $(tail -n 1 "$tmp/d$i.err")"
	done
}

wire || die "the network cannot be made"
head -c "$((size << 20))" /dev/urandom >"$tmp/content" || exit
ip netns exec "${id}h" "$shoal" --dir "$tmp/h" share --listen /ip4/11.0.0.1/tcp/7461 --listen /ip4/11.0.0.1/udp/7461/quic-v1 \
	--mdns off --portmap off --upload unlimited "$tmp/content" </dev/null >"$tmp/h.out" 2>"$tmp/h.err" &
pids[$!]=1
for ((i = 0; i < 200; i++)); do
	grep -qs '^shoal: ready' "$tmp/h.err" && break
	sleep 0.05
done
cid=$(cat "$tmp/h.out") holder=$(sed -n 's/^shoal: listening on //p' "$tmp/h.err" | head -n 1)
[ -n "$cid" ] && [ -n "$holder" ] || die "the holder does not run: $(tail -n 1 "$tmp/h.err")"

before=$(over) began=$EPOCHREALTIME
for ((i = 1; i <= desks; i++)); do desk "$i"; done
got $(seq "$desks")
seconds=$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')
awk -v sent="$(($(over) - before))" -v size="$((size << 20))" -v line="$line" -v s="$seconds" -v desks="$desks" '
	match($0, /"lan":\{"bytes":[0-9]+/) { near += substr($0, RSTART + 15, RLENGTH - 15) }
	END { printf "%d desks: %.2f copies over the line; %.1f%% of what they got from each other; %.1f s, %.2f of one copy\n",
		desks, sent / size, 100 * near / size / desks, s, s / (size * 8 / line / 1e6) }' "$tmp"/d*.json
((late)) || exit 0
before=$(over)
desk "$all"
got "$all"
awk -v sent="$(($(over) - before))" -v size="$((size << 20))" '
	match($0, /"lan":\{"bytes":[0-9]+/) { near = substr($0, RSTART + 15, RLENGTH - 15) }
	END { printf "a desk that comes later: %.1f%% from the others, %.3f copies over the line\n", 100 * near / size, sent / size }' "$tmp/d$all.json"
