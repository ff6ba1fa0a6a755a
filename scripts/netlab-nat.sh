#!/usr/bin/env bash
# netlab-nat.sh is scripts/netlab.sh nat: two hosts behind NATs of every kind, a
# relay and an observer on public addresses, all in network namespaces. It proves
# its NATs, then has shoal connect, and fetch, between every two of them.
#
#   scripts/netlab.sh nat [--only LIST] [--pairs LIST] [--modes LIST] [--runs N]
#                         [--delay D] [--size MIB] [--jobs N] [--hard] [--small] [--into DIR] [--shoal FILE]
#
#   --only LIST   of: prove reach get lan move crowd budget; all of them
#   --pairs LIST  such as 3:4,public:blocked; every unordered pair of types
#   --modes LIST  of: both quic tcp; all three
#   --runs N      of each pair, mode and direction; 1
#   --delay D     one way on each access link, such as 15ms; none
#   --size MIB    of the file that every pair fetches; 64
#   --jobs N      pairs at a time; 3
#   --hard        with --punch-hard on
#   --small       one pair, a few seconds: shows that the lab works
#   --into DIR    keep the pairs' results there; a pair that is there is not run again
#   --shoal FILE  use this binary instead of building one
#
# Types: public, 1 full cone, 2 address-restricted, 3 port-restricted, 4 symmetric,
# double (3 behind 3, as a carrier's NAT), blocked (3, and no UDP passes).
set -uo pipefail
cd "$(dirname "$0")/.." || exit
. scripts/lib.sh

types=(public 1 2 3 4 double blocked)
only=prove,reach,get,lan,move,crowd,budget pairs= modes=both,quic,tcp runs=1 delay= size=64 jobs=3 into= shoal=
while (($#)); do
	case $1 in
	--only | --pairs | --modes | --runs | --delay | --size | --jobs | --into | --shoal)
		(($# > 1)) || die "$1 needs a value"
		printf -v "${1#--}" %s "$2"
		shift
		;;
	--hard) export SHOAL_PUNCH_HARD=on ;;
	--small) only=prove,reach,get pairs=3:3 modes=both size=4 jobs=1 ;;
	--help | -h)
		sed -n '/^#   scripts/,/^# double/s/^# \{0,3\}//p' scripts/netlab-nat.sh
		exit
		;;
	*) die "unknown argument $1; see --help" ;;
	esac
	shift
done
[ "$(id -u)" = 0 ] || die "network namespaces need root"
want ip iproute2 && want tc iproute2 && want nft nftables || die "this needs ip, tc and nft (Debian: iproute2, nftables)"
if [ -z "$pairs" ]; then
	for ((i = 0; i < ${#types[@]}; i++)); do
		for ((j = i; j < ${#types[@]}; j++)); do pairs+=${pairs:+,}${types[i]}:${types[j]}; done
	done
fi

tmp=$(mktemp -d) || exit
trap 'stop_all; drop_netns; rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
[ -n "$shoal" ] || { shoal=$tmp/shoal && say building && build_shoal "$shoal"; } || die "it does not build"
go build -o "$tmp/natprobe" ./internal/natprobe || die "natprobe does not build"
probe=$tmp/natprobe
mkdir -p "${into:=$tmp}" || die "no directory $into"
export SHOAL_MDNS=off SHOAL_PORTMAP=off SHOAL_UPLOAD=unlimited
failed=0
P=n$$ # of our namespaces; a pair adds a number

# wants PART: whether a part was asked for.
wants() { [[ ,$only, == *",$1,"* ]]; }

# figure NAME VALUE GOAL OK: one line of the results; OK is 0 or 1.
figure() {
	local verdict=ok
	(($4)) || { verdict=MISSED && failed=$((failed + 1)); }
	printf '%-56s %-30s %-26s %s\n' "$1" "$2" "$3" "$verdict"
}

# holds EXPRESSION: 1 if awk finds it true.
holds() { awk "BEGIN { print ($1) ? 1 : 0 }"; }

# ---- the network -------------------------------------------------------------

# box NAME: a namespace without IPv6, which the lab does not route.
box() {
	add_netns "$P$1" && ip netns exec "$P$1" sh -c '
		for f in all default; do
			echo 1 >/proc/sys/net/ipv6/conf/$f/disable_ipv6
			echo 0 >/proc/sys/net/ipv4/conf/$f/rp_filter
			echo 0 >/proc/sys/net/ipv4/conf/$f/send_redirects
		done
		f=/proc/sys/net/bridge/bridge-nf-call-iptables
		[ ! -e $f ] || echo 0 >$f'
}

# wire NAME IP: put a host on the internet, as "pub", behind the delay if any.
wire() {
	if [ -n "$delay" ] && [[ $1 != relay && $1 != watch ]]; then
		"$probe" delay -ns1 "$P$1" -if1 pub -ns2 "${P}net" -if2 "i-$1" -by "$delay" >"$tmp/$P$1.up" &
		pids[$!]=1
		local i
		for ((i = 0; i < 100; i++)); do grep -q up "$tmp/$P$1.up" && break || sleep 0.02; done
	else
		ip link add pub netns "$P$1" type veth peer name "i-$1" netns "${P}net" || return
	fi
	ip -n "${P}net" link set "i-$1" master br0 up && cable "$P$1" pub "$2"
}

# link NAME1 IF1 IP1 NAME2 IF2 IP2: a cable between two boxes.
link() {
	ip link add "$2" netns "$P$1" type veth peer name "$5" netns "$P$4" &&
		cable "$P$1" "$2" "$3" && cable "$P$4" "$5" "$6"
}

# rules NAME TYPE: make a box with the interfaces pub and priv a router. Packets
# that nobody asked for are dropped: if the router took or refused them, conntrack
# would keep their entry, and the host's own packet to that peer would get another
# port than the one the peer was told. Private addresses lead nowhere, as on the
# internet.
rules() {
	local masquerade=masquerade blocked=
	[ "$2" = 4 ] && masquerade="masquerade fully-random"
	[ "$2" = blocked ] && blocked='iifname "priv" meta l4proto udp drop'
	ip netns exec "$P$1" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
	ip -n "$P$1" route add blackhole default 2>/dev/null
	ip netns exec "$P$1" nft -f - <<-END || return
		table ip nat {
			chain post { type nat hook postrouting priority srcnat; policy accept;
				oifname "pub" $masquerade
			}
		}
		table ip fw {
			chain input { type filter hook input priority filter; policy drop;
				iifname { "lo", "priv" } accept
				ct state established,related accept
			}
			chain forward { type filter hook forward priority filter; policy drop;
				$blocked
				iifname "priv" oifname "pub" accept
				iifname "pub" oifname "priv" ct state established,related accept
				iifname "pub" oifname "priv" ct status dnat accept
			}
		}
	END
	case $2 in
	1) cone "$1" ;;
	2) cone "$1" 'meta l4proto . th dport . ip saddr @spoken' ;;
	esac
}

# cone NAME [CONDITION]: what came from inside by a port may be answered there by
# anybody who meets the condition. Priority 110 is after the masquerade, which
# keeps ports, so that the outside port is the inside one too.
cone() {
	ip netns exec "$P$1" nft -f - <<-END
		table ip cone {
			map inside { type inet_proto . inet_service : ipv4_addr . inet_service; flags dynamic,timeout; timeout 120s; size 65536; }
			set spoken { type inet_proto . inet_service . ipv4_addr; flags dynamic,timeout; timeout 120s; size 65536; }
			chain record { type filter hook postrouting priority 110; policy accept;
				oifname != "pub" return
				meta l4proto != { tcp, udp } return
				ct direction original update @inside { meta l4proto . th sport : ct original ip saddr . th sport }
				ct direction reply update @inside { meta l4proto . th sport : ct reply ip saddr . th sport }
				update @spoken { meta l4proto . th sport . ip daddr }
			}
			chain pre { type nat hook prerouting priority dstnat; policy accept;
				iifname "pub" meta l4proto { tcp, udp } ${2:-} dnat ip to meta l4proto . th dport map @inside
			}
		}
	END
}

# side X K TYPE: host hX, behind a router rX, and a carrier's cX if double.
side() {
	local at=11.0.0.1$2
	box "h$1" || return
	[ "$3" = public ] && { wire "h$1" "$at"; return; }
	box "r$1" || return
	if [ "$3" = double ]; then
		box "c$1" && wire "c$1" "$at" && link "c$1" priv "100.64.$2.1" "r$1" pub "100.64.$2.2" &&
			ip -n "${P}r$1" route add default via "100.64.$2.1" && rules "c$1" 3 || return
	else
		wire "r$1" "$at" || return
	fi
	link "r$1" priv "192.168.$2.1" "h$1" eth0 "192.168.$2.2" &&
		ip -n "${P}h$1" route add default via "192.168.$2.1" && rules "r$1" "$3"
}

# world [TYPE [TYPE]]: the internet, a relay, an observer, and hosts behind NATs.
world() {
	box net && ip -n "${P}net" link add br0 type bridge forward_delay 0 mcast_snooping 0 &&
		ip -n "${P}net" link set br0 up && box relay && wire relay 11.0.0.2 &&
		box watch && wire watch 11.0.0.4 && ip -n "${P}watch" addr add 11.0.0.5/24 dev pub || return
	[ -z "${1:-}" ] || side a 1 "$1" || return
	[ -z "${2:-}" ] || side b 2 "$2"
}

# on NAME COMMAND...: run in a box.
on() {
	local ns=$P$1
	shift
	ip netns exec "$ns" "$@"
}

# counter NAME IF: the bytes that an interface has carried, both ways.
counter() { on "$1" cat "/sys/class/net/$2/statistics/rx_bytes" "/sys/class/net/$2/statistics/tx_bytes" | awk '{ n += $1 } END { print n }'; }

# ---- nodes -------------------------------------------------------------------

# status DIR: what a node says of itself, on one line.
status() { timeout 10 "$shoal" --dir "$1" status --json 2>/dev/null | tr -d '\n\t' | sed 's/": */":/g; s/, *"/,"/g; s/{ */{/g; s/ *}/}/g'; }

# listen MODE PORT: flags.
listen() {
	[ "$1" = tcp ] || echo --listen "/ip4/0.0.0.0/udp/$2/quic-v1"
	[ "$1" = quic ] || echo --listen "/ip4/0.0.0.0/tcp/$2"
}

# launch NAME DIR VERB FLAG...: start a node in a box, its process in node_pid.
launch() {
	local name=$1 dir=$2 i
	shift 2
	mkdir -p "$dir"
	ip netns exec "$P$name" "$shoal" --dir "$dir" "$@" </dev/null >"$dir.out" 2>"$dir.err" &
	node_pid=$!
	pids[$node_pid]=1
	for ((i = 0; i < 400; i++)); do
		[ -S "$dir/api.sock" ] && { [ "$1" = node ] || [ -s "$dir.out" ]; } && return
		kill -0 "$node_pid" 2>/dev/null || break
		sleep 0.02
	done
	say "$name: $1 does not run: $(tail -n 1 "$dir.err")"
	return 1
}

# public FLAG...: start relay and observer; the relay's ID is left in relay_id, the
# observer's in watch_id.
public() {
	launch relay "$tmp/$P-relay" node --relay --listen /ip4/11.0.0.2/tcp/7461 --listen /ip4/11.0.0.2/udp/7461/quic-v1 "$@" || return
	relay_id=$("$shoal" --dir "$tmp/$P-relay" id)
	launch watch "$tmp/$P-watch" node --listen /ip4/11.0.0.4/tcp/7461 --listen /ip4/11.0.0.4/udp/7461/quic-v1 \
		--bootstrap "/ip4/11.0.0.2/tcp/7461/p2p/$relay_id" || return
	watch_id=$("$shoal" --dir "$tmp/$P-watch" id)
}

# boot MODE: flags that name relay and observer by the transports of a mode.
boot() {
	[ "$1" = tcp ] || echo --bootstrap "/ip4/11.0.0.2/udp/7461/quic-v1/p2p/$relay_id" --bootstrap "/ip4/11.0.0.4/udp/7461/quic-v1/p2p/$watch_id"
	[ "$1" = quic ] || echo --bootstrap "/ip4/11.0.0.2/tcp/7461/p2p/$relay_id" --bootstrap "/ip4/11.0.0.4/tcp/7461/p2p/$watch_id"
}

# await DIR PATTERN SECONDS: wait until a node's status matches; it is left in seen.
await() {
	local until=$((SECONDS + $3))
	while :; do
		seen=$(status "$1")
		grep -qE "$2" <<<"$seen" && return
		((SECONDS < until)) || return 1
		sleep 0.1
	done
}

# field NAME JSON: the first field of that name.
field() { sed -nE "s/.*\"$1\":\"?([^\",}]*).*/\1/p" <<<"$2" | head -n 1; }

# two FROM TO MODE PORT FILE: a node in host FROM that shares FILE, one in TO; both
# know relay and observer. Left: from_pid, to_pid, id, cid, and in peer an address of FROM.
two() {
	local dir=$tmp/$P-$1-$4
	launch "h$1" "$dir" share "$5" $(listen "$3" "$4") $(boot "$3") || return
	from_pid=$node_pid cid=$(head -n 1 "$dir.out" | cut -f 1)
	launch "h$2" "$tmp/$P-$2-$4" node $(listen "$3" "$4") $(boot "$3") || return
	to_pid=$node_pid id=$("$shoal" --dir "$dir" id)
	await "$dir" "11\.0\.0\.2/[^\"]*p2p-circuit|\"reachability\":\"public\"" 8 || { say "$P: no circuit for $1 ($3): $(tail -n 1 "$dir.err")"; return 1; }
	peer=$(grep -oE '"/ip4/11\.0\.0\.2[^"]*p2p-circuit/p2p/[^"]*"' <<<"$seen" | tr -d '"' | grep -E "$([ "$3" = quic ] && echo quic || echo /tcp/)" | head -n 1)
	# A public node needs no relay: who wants it dials it.
	[ -n "$peer" ] || peer=$(grep -oE '"/ip4/11[^"]*"' <<<"$seen" | tr -d '"' | head -n 1)
	await "$tmp/$P-$2-$4" '"reachability":"(public|private)"' 8
}

# ---- the parts ---------------------------------------------------------------

# prove: what the probe says of each type must be what it is called.
prove() {
	local type want line
	for type in $(tr ',:' '\n\n' <<<"$pairs" | sort -u); do
		world "$type" || die "no network for $type"
		on watch "$probe" serve 11.0.0.4 11.0.0.5 >"$tmp/serve" &
		pids[$!]=1
		until grep -q up "$tmp/serve"; do sleep 0.02; done
		line=$(on ha "$probe" ask 11.0.0.4 11.0.0.5)
		case $type in
		public) want='udp:EIM+EIF,ports-kept,unasked-in=4/4,kept-after=4/4 tcp:EIM+EIF' ;;
		1) want='udp:EIM+EIF,ports-kept,unasked-in=0/4,kept-after=4/4 tcp:EIM+EIF' ;;
		2) want='udp:EIM+ADF,ports-kept,unasked-in=0/4,kept-after=4/4 tcp:EIM+ADF' ;;
		3 | double) want='udp:EIM+APDF,ports-kept,unasked-in=0/4,kept-after=4/4 tcp:EIM+APDF' ;;
		4) want='udp:EDM+APDF,ports-changed,unasked-in=0/4,kept-after=0/4 tcp:EDM+APDF' ;;
		blocked) want='udp:BLOCKED tcp:EIM+APDF' ;;
		esac
		figure "NAT $type" "$line" "$([ "$line" = "$want" ] && echo as named || echo "$want")" "$([ "$line" = "$want" ] && echo 1 || echo 0)"
		stop_all
		drop_netns
	done
}

# reach_pair A B: how the hosts of a pair come together, a line a run to stdout:
# pair mode direction direct transport seconds reached.
reach_pair() {
	local mode from to run port=7000 got direct transport took
	for mode in ${modes//,/ }; do
		for from in a b; do
			to=$([ $from = a ] && echo b || echo a)
			for ((run = 0; run < runs; run++)); do
				port=$((port + 1)) direct=0 transport=- took=- got=-
				if two $from $to "$mode" $port "$tmp/small"; then
					"$shoal" --dir "$tmp/$P-$to-$port" get "$cid" --peer "$peer" --timeout 20s -o "$tmp/$P-got-$port" >/dev/null 2>"$tmp/$P-get.err"
					if await "$tmp/$P-$to-$port" "\"id\":\"$id\"[^}]*\"path\":\"(wan|lan)\"" 20; then
						got=$(grep -oE "\{\"id\":\"$id\"[^}]*\}" <<<"$seen")
						direct=1 transport=$(field transport "$got") took=$(field reached_s "$got") got=$(field reached "$got")
					fi
				fi
				echo "$1:$2 $mode $from $direct $transport ${took:--} ${got:--}"
				stop $from_pid $to_pid
				rm -rf "$tmp/$P-$from-$port"* "$tmp/$P-$to-$port"* "$tmp/$P-got-$port"
			done
		done
	done
}

# each FUNCTION: run it for every pair in a world of its own, jobs at a time. Its
# lines are left in a file of its name, those of a pair when all are there.
each() {
	local pair n=0 running=() job
	touch "$into/$1"
	for pair in ${pairs//,/ }; do
		n=$((n + 1))
		! grep -q "^$pair " "$into/$1" || continue
		(
			trap 'stop_all; drop_netns' EXIT
			trap 'exit 130' INT TERM
			pids=() netns=() P=${P}x$n
			world "${pair%:*}" "${pair#*:}" && public && "$1" "${pair%:*}" "${pair#*:}" >"$tmp/$1.$n" && cat "$tmp/$1.$n" >>"$into/$1"
		) &
		pids[$!]=1
		running+=($!)
		if ((${#running[@]} >= jobs)); then
			reap "${running[0]}"
			running=("${running[@]:1}")
		fi
	done
	for job in "${running[@]}"; do reap "$job"; done
}

# can MODE: how many runs met of those that can: one side's ports must be known, or the
# other must let in whoever was spoken to; and a transport must be common to both.
can() {
	awk -v mode="$1" -v search="${SHOAL_PUNCH_HARD:-off}" '
		$2 != mode { next }
		{
			split($1, t, ":"); a = t[1]; b = t[2]
			if (mode == "quic" && (a == "blocked" || b == "blocked")) next
			if (b == "4") { b = a; a = "4" }
			if (a == "4" && b == "4") next
			if (a == "4" && (b == "blocked" || b ~ /^(3|double)$/ && (mode == "tcp" || search != "on"))) next
			n++; met += $4
		}
		END { printf "%d of %d", met, n }' "$into/reach_pair"
}

# table: the results of reach_pair, a row a pair.
table() {
	awk -v order="${pairs//,/ }" -v modes="${modes//,/ }" '
		function middle(list,   v, n, i, j, t) {
			n = split(list, v, " ")
			for (i = 2; i <= n; i++) for (j = i; j > 1 && v[j] + 0 < v[j-1] + 0; j--) { t = v[j]; v[j] = v[j-1]; v[j-1] = t }
			return n == 0 ? "–" : sprintf("%.2f", n % 2 ? v[(n+1)/2] : (v[n/2] + v[n/2+1]) / 2)
		}
		{ k = $1 " " $2; runs[k " " $3]++; ok[k " " $3] += $4 }
		$4 { times[k] = times[k] " " $6; by[k " " $5]++; if (!(($5) in seen)) { seen[$5]; names = names " " $5 }
		     how[k " " $7]++; if (!($7 in hows)) { hows[$7]; hownames = hownames " " $7 } }
		END {
			n = split(order, o, " "); m = split(modes, md, " ")
			printf "| pair |"; for (j = 1; j <= m; j++) printf " %s a→b, b→a | via | how | median s |", md[j]; print ""
			printf "|---|"; for (j = 1; j <= m; j++) printf "---|---|---|---|"; print ""
			for (i = 1; i <= n; i++) {
				split(o[i], t, ":"); printf "| %s × %s |", t[1], t[2]
				for (j = 1; j <= m; j++) {
					k = o[i] " " md[j]; via = ""; w = ""
					c = split(names, nm, " "); for (x = 1; x <= c; x++) if (by[k " " nm[x]]) via = via " " nm[x] " " by[k " " nm[x]]
					c = split(hownames, nm, " "); for (x = 1; x <= c; x++) if (how[k " " nm[x]]) w = w " " nm[x] " " how[k " " nm[x]]
					printf " %d/%d %d/%d |%s |%s | %s |", ok[k " b"], runs[k " b"], ok[k " a"], runs[k " a"], via == "" ? " –" : via, w == "" ? " –" : w, middle(times[k])
				}
				print ""
			}
		}' "$into/reach_pair"
}

# watched PID FILE BOX IF: wait for a get; the longest time in which neither the box
# received 64 KiB nor the get said a word is left in silent, in seconds.
watched() {
	local last=$SECONDS bytes=0 words=0 b w
	silent=0
	while kill -0 "$1" 2>/dev/null; do
		b=$(counter "$3" "$4") w=$(wc -c <"$2")
		if ((b - bytes > 65536 || w > words)); then last=$SECONDS bytes=$b words=$w; fi
		((SECONDS - last <= silent)) || silent=$((SECONDS - last))
		sleep 0.2
	done
	reap "$1"
}

# fetch DIR BOX FLAG...: get in a box that has a node; its exit code is left in code,
# the seconds in elapsed, the result in json, and by relay the bytes that crossed the
# relay's cable (each twice).
fetch() {
	local dir=$1 box=$2 before from=$EPOCHREALTIME if
	shift 2
	if=$(on "$box" ls /sys/class/net | grep -xE 'pub|eth0')
	before=$(counter relay pub)
	rm -rf "$dir.got"
	ip netns exec "$P$box" timeout 300 "$shoal" --dir "$dir" get "$@" --json -o "$dir.got" </dev/null >"$dir.json" 2>"$dir.words" &
	pids[$!]=1
	watched $! "$dir.words" "$box" "$if"
	code=$?
	elapsed=$(awk -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
	json=$(tr -d '\n\t ' <"$dir.json")
	relayed=$((($(counter relay pub) - before) / 2))
}

# bytes_from PATH: of the last fetch.
bytes_from() { sed -nE "s/.*\"$1\":\{\"bytes\":([0-9]+).*/\1/p" <<<"$json"; }

# get_pair A B: each fetches the big file of the other: pair direction code same
# seconds silent relayed path, the path being the one that most bytes came by.
get_pair() {
	local from to port=8000 same path p most
	for from in a b; do
		to=$([ $from = a ] && echo b || echo a)
		port=$((port + 1))
		two $from $to both $port "$tmp/big" || { echo "$1:$2 $from - 0 - - - -"; continue; }
		fetch "$tmp/$P-$to-$port" "h$to" "$cid" --peer "$peer" --timeout 30s
		same=0 path=- most=0
		cmp -s "$tmp/big" "$tmp/$P-$to-$port.got" && same=1
		for p in lan wan relay origin; do
			(($(bytes_from $p) > most)) 2>/dev/null && most=$(bytes_from $p) path=$p
		done
		echo "$1:$2 $from $code $same $elapsed $silent $relayed $path"
		stop $from_pid $to_pid
		rm -rf "$tmp/$P-$from-$port"* "$tmp/$P-$to-$port"*
	done
}

# lan: two hosts behind one router that know relay and observer only.
lan() {
	local before after crossed wan
	P=${P}l
	world 3 || die "no network"
	ip -n "${P}ra" link set priv down && ip -n "${P}ra" link set priv name inner && ip -n "${P}ra" addr flush dev inner &&
		ip -n "${P}ra" link add priv type bridge forward_delay 0 mcast_snooping 0 && ip -n "${P}ra" link set inner master priv up &&
		cable "${P}ra" priv 192.168.1.1 && box hb && ip link add eth0 netns "${P}hb" type veth peer name other netns "${P}ra" &&
		ip -n "${P}ra" link set other master priv up && cable "${P}hb" eth0 192.168.1.3 && ip -n "${P}hb" route add default via 192.168.1.1 || die "no second host"
	ip netns exec "${P}ra" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
	public && two a b both 8100 "$tmp/big" || return
	before=$(counter ra pub)
	fetch "$tmp/$P-b-8100" hb "$cid" --timeout 30s
	after=$(counter ra pub)
	cmp -s "$tmp/big" "$tmp/$P-b-8100.got" || code=different
	crossed=$((after - before)) wan=$(bytes_from lan)
	figure "two hosts behind one NAT, by the CID alone" "exit $code, $elapsed s, lan $((${wan:-0} * 100 / (size << 20)))%" "at least 95% lan" \
		"$(holds "\"$code\" == \"0\" && ${wan:-0} >= 0.95 * $((size << 20))")"
	figure "what crossed their router meanwhile" "$crossed bytes" "at most 5%" "$(holds "$crossed <= 0.05 * $((size << 20))")"
	stop_all
	drop_netns
	P=${P%l}
}

# move: the address of a host behind a NAT is taken away in the middle of a
# transfer, and another added.
move() {
	local got from i have was before dup
	P=${P}m
	world public 3 && public || die "no network"
	SHOAL_UPLOAD=40Mbit/s two a b both 8200 "$tmp/big" || return
	ip netns exec "${P}hb" timeout 300 "$shoal" --dir "$tmp/$P-b-8200" get "$cid" --peer "$peer" --json -o "$tmp/move.got" --timeout 60s </dev/null >"$tmp/move.json" 2>"$tmp/move.err" &
	got=$!
	pids[$got]=1
	sleep 3
	ip -n "${P}hb" addr del 192.168.2.2/24 dev eth0
	ip -n "${P}hb" addr add 192.168.2.7/24 dev eth0 && ip -n "${P}hb" route add default via 192.168.2.1
	from=$EPOCHREALTIME was=$(counter hb eth0)
	for ((i = 0; i < 300; i++)); do
		have=$(counter hb eth0)
		((have - was > 2000000)) && break
		sleep 0.1
	done
	elapsed=$(awk -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
	figure "another address in mid-transfer: goes on after" "$elapsed s" "at most 10 s" "$(holds "$elapsed <= 10")"
	reap $got
	code=$?
	json=$(tr -d '\n\t ' <"$tmp/move.json")
	dup=$(sed -nE 's/.*"duplicate_bytes":([0-9]+).*/\1/p' <<<"$json")
	cmp -s "$tmp/big" "$tmp/move.got" || code=different
	figure "then the file is whole, and fetched twice were" "exit $code, ${dup:-?} bytes" "at most 32 MiB in flight" "$(holds "\"$code\" == \"0\" && ${dup:-99999999} <= 33554432")"
	stop_all
	drop_netns
	P=${P%m}
}

# many: 200 nodes behind one address, all at once.
many() {
	local line
	P=${P}c
	world 3 && public || die "no network"
	line=$(on ha "$probe" crowd 200 "/ip4/11.0.0.2/tcp/7461/p2p/$relay_id")
	figure "200 nodes behind one address (tcp)" "$line" "all" "$([[ $line == "200 of 200 connected, 200 reserved"* ]] && echo 1 || echo 0)"
	line=$(on ha "$probe" crowd 200 "/ip4/11.0.0.2/udp/7461/quic-v1/p2p/$relay_id")
	figure "200 nodes behind one address (quic)" "$line" "all" "$([[ $line == "200 of 200 connected, 200 reserved"* ]] && echo 1 || echo 0)"
	stop_all
	drop_netns
	P=${P%c}
}

# symmetric DATA FLAG...: what 4 x 4 does with a relay that gives DATA a pair.
symmetric() {
	local data=$1
	shift
	world 4 4 && public --relay-data "$data" || die "no network"
	two a b both 8300 "$tmp/big" || return
	on watch "$probe" files "$tmp/files" 11.0.0.5:80 2>/dev/null &
	pids[$!]=1
	fetch "$tmp/$P-b-8300" hb "$cid" --peer "$peer" --timeout 10s "$@"
	used=$(field relayed_bytes "$(status "$tmp/$P-relay")")
	cmp -s "$tmp/big" "$tmp/$P-b-8300.got" && same=1 || same=0
	stop_all
	drop_netns
}

# budget: symmetric x symmetric by relay, by origin, and what a budget is worth.
budget() {
	local same used limit=$((size / 2)) B=$((size << 20))
	P=${P}b
	mkdir -p "$tmp/files" && ln -f "$tmp/big" "$tmp/files/big"
	symmetric $((size * 2))MiB
	figure "4 x 4 with a budget, no origin" "exit $code, $elapsed s, relay $(bytes_from relay)" "all by relay" "$(holds "$code == 0 && $same && $(bytes_from relay) == $B")"
	figure "  the relay's own count of $relayed at its cable" "$used" "within 5%" "$(holds "${used:-0} >= 0.95 * $B && ${used:-0} <= 1.05 * $relayed && $relayed <= 1.1 * ${used:-1}")"
	symmetric off --origin http://11.0.0.5/big
	figure "4 x 4 with an origin, budget 0" "exit $code, $elapsed s, origin $(bytes_from origin)" "all by origin" "$(holds "$code == 0 && $same && $(bytes_from origin) == $B")"
	figure "  at the relay's cable" "$relayed bytes" "at most 2 MB" "$(holds "$relayed <= 2000000")"
	symmetric ${limit}MiB
	figure "4 x 4 with half the budget needed" "exit $code, $elapsed s, used $used" "exit 3" "$(holds "$code == 3")"
	figure "  used of $limit MiB, at the relay's cable $relayed" "$used" "within 5%" "$(holds "${used:-0} <= $limit * 1048576 * 1.05 && ${used:-0} >= $limit * 1048576 * 0.95")"
	P=${P%b}
}

head -c 100000 /dev/urandom >"$tmp/small"
head -c "$((size << 20))" /dev/urandom >"$tmp/big"
from=$SECONDS
if wants prove; then prove; fi
if wants reach; then
	each reach_pair
	table
	for mode in ${modes//,/ }; do
		met=$(can "$mode")
		figure "pairs that can meet ($mode), runs in which they did" "$met" "all" "$([ "${met% of *}" = "${met#* of }" ] && echo 1 || echo 0)"
	done
fi
if wants get; then
	each get_pair
	sort "$into/get_pair" | while read -r pair who code same seconds silent relayed path; do
		printf '%s fetched from %s: exit %s, same bytes %s, %s s, silent at most %s s, at the relay %s bytes, by %s\n' "$pair" "$who" "$code" "$same" "$seconds" "$silent" "$relayed" "$path"
	done
	figure "gets of $size MiB that were whole and never silent for 5 s" "$(awk '$3 == "0" && $4 && $6 <= 5' "$into/get_pair" | wc -l) of $(wc -l <"$into/get_pair")" "all" \
		"$(awk '!($3 == "0" && $4 && $6 <= 5) { bad = 1 } END { print (NR > 0 && !bad) ? 1 : 0 }' "$into/get_pair")"
fi
if wants lan; then lan; fi
if wants move; then move; fi
if wants crowd; then many; fi
if wants budget; then budget; fi
printf '%d missed, %d s\n' "$failed" $((SECONDS - from))
((failed == 0))
