# The network of scripts/netlab-nat.sh: hosts, routers, relay, observer, and the
# nodes in them. Sourced, not run; it needs scripts/lib.sh, tmp, P, delay, fresh, probe
# and shoal.

# ---- the network -------------------------------------------------------------

# How relay, observer and hosts are named: by IPv4, unless a part says otherwise.
ip4() { no6=1 relay_at=/ip4/11.0.0.2 watch_at=/ip4/11.0.0.4 any_at=/ip4/0.0.0.0 out_at=/ip4/11; }
ip6() { no6=0 relay_at=/ip6/2a00:1:0:f::2 watch_at=/ip6/2a00:1:0:f::4 any_at=/ip6/:: out_at=/ip6/2a00; }
ip4

# box NAME: a namespace, without IPv6 unless no6 is 0.
box() {
	add_netns "$P$1" && ip netns exec "$P$1" env no6="$no6" sh -c '
		for f in all default; do
			echo $no6 >/proc/sys/net/ipv6/conf/$f/disable_ipv6
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
	local masquerade=masquerade blocked= leave=
	[ "$2" = 4 ] && masquerade="masquerade fully-random"
	[ "$2" = web ] && leave='ip daddr 11.0.0.6 tcp dport 3128'
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
				iifname "priv" oifname "pub" $leave accept
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
	[ "$1" = tcp ] || echo --listen "$any_at/udp/$2/quic-v1"
	[ "$1" = quic ] || echo --listen "$any_at/tcp/$2"
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
	launch relay "$tmp/$P-relay" node --relay --listen "$relay_at/tcp/7461" --listen "$relay_at/udp/7461/quic-v1" "$@" || return
	relay_id=$("$shoal" --dir "$tmp/$P-relay" id)
	launch watch "$tmp/$P-watch" node --listen "$watch_at/tcp/7461" --listen "$watch_at/udp/7461/quic-v1" \
		--bootstrap "$relay_at/tcp/7461/p2p/$relay_id" || return
	watch_id=$("$shoal" --dir "$tmp/$P-watch" id)
}

# boot MODE: flags that name relay and observer by the transports of a mode.
boot() {
	[ "$1" = tcp ] || echo --bootstrap "$relay_at/udp/7461/quic-v1/p2p/$relay_id" --bootstrap "$watch_at/udp/7461/quic-v1/p2p/$watch_id"
	[ "$1" = quic ] || echo --bootstrap "$relay_at/tcp/7461/p2p/$relay_id" --bootstrap "$watch_at/tcp/7461/p2p/$watch_id"
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
	await "$dir" "$relay_at/[^\"]*p2p-circuit|\"reachability\":\"public\"" 8 || { say "$P: no circuit for $1 ($3): $(tail -n 1 "$dir.err")"; return 1; }
	peer=$(grep -oE "\"$relay_at/[^\"]*p2p-circuit/p2p/[^\"]*\"" <<<"$seen" | tr -d '"' | grep -E "$([ "$3" = quic ] && echo quic || echo /tcp/)" | head -n 1)
	# A public node needs no relay: who wants it dials it.
	[ -n "$peer" ] || peer=$(grep -oE "\"$out_at[^\"]*\"" <<<"$seen" | tr -d '"' | head -n 1)
	[ -n "$fresh" ] || await "$tmp/$P-$2-$4" '"reachability":"(public|private)"' 8
}
