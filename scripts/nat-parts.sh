# More parts of scripts/netlab-nat.sh. Sourced, not run.

# begin LETTER, end: a part's own namespaces.
begin() { part=$1 && P=$P$1; }
end() {
	stop_all
	drop_netns
	P=${P%"$part"}
}

# part_turn: a relay's budget ends in the middle of a transfer while another peer,
# a slow one, has the content as well: how soon bytes come from that one, and at
# once how many of what was asked over the relay.
part_turn() {
	local from at have
	begin t
	world 4 4 && public --relay-data 8MiB || die "no network"
	SHOAL_LOG_LEVEL=info SHOAL_UPLOAD=80Mbit/s two a b both 8400 "$tmp/big" || { end; return; }
	ip netns exec "${P}watch" "$shoal" --dir "$tmp/slow" share "$tmp/big" --listen /ip4/11.0.0.5/tcp/7500 --upload 40Mbit/s \
		--bootstrap "$relay_at/tcp/7461/p2p/$relay_id" </dev/null >/dev/null 2>"$tmp/slow.err" &
	pids[$!]=1
	until grep -qs '^shoal: ready' "$tmp/slow.err"; do sleep 0.05; done
	ip netns exec "${P}hb" timeout 120 "$shoal" --dir "$tmp/$P-b-8400" get "$cid" --peer "$peer" --json -o "$tmp/turn.got" </dev/null >"$tmp/turn.json" 2>"$tmp/turn.err" &
	from=$!
	pids[$from]=1
	until grep -q 'carries no more' "$tmp/$P-b-8400.err" || ! kill -0 $from 2>/dev/null; do sleep 0.01; done
	grep -q 'carries no more' "$tmp/$P-b-8400.err" || say "the relay said nothing"
	at=$EPOCHREALTIME have=$(counter hb eth0)
	until (($(counter hb eth0) - have > 131072)) || ! kill -0 $from 2>/dev/null; do sleep 0.01; done
	elapsed=$(awk -v a="$at" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f", b - a }')
	figure "a relay is spent in mid-transfer: 128 KiB by another peer" "after $elapsed s" "at most 1 s" "$(holds "$elapsed <= 1")"
	reap $from
	code=$?
	json=$(tr -d '\n\t ' <"$tmp/turn.json")
	cmp -s "$tmp/big" "$tmp/turn.got" || code=different
	figure "then the file is whole" "exit $code, relay $(bytes_from relay), wan $(bytes_from wan)" "exit 0" "$(holds "\"$code\" == \"0\"")"
	end
}

# inside COMMAND...: as at a site whose machines know the proxy and a root.
inside() { HTTPS_PROXY=http://11.0.0.6:3128 SHOAL_CA=$tmp/ca.pem "$@"; }

# part_web: two sites that nothing leaves but what a proxy connects to port 443 of
# one name, which nobody inside can resolve.
part_web() {
	local at line
	begin w
	world web web && box proxy && wire proxy 11.0.0.6 && box front && wire front 11.0.0.7 || die "no network"
	"$probe" certificate p2p.example.com "$tmp/ca.pem" "$tmp/ca.key" || die "no certificate"
	ip netns exec "${P}proxy" "$probe" proxy 11.0.0.6:3128 p2p.example.com:443=11.0.0.7:443 >"$tmp/proxy" &
	pids[$!]=1
	until grep -q up "$tmp/proxy"; do sleep 0.02; done
	launch front "$tmp/$P-front" node --relay --listen /ip4/11.0.0.7/tcp/443/tls/ws --tls-cert "$tmp/ca.pem" --tls-key "$tmp/ca.key" \
		--listen /ip4/11.0.0.7/tcp/7461 || { end; return; }
	at=/dns4/p2p.example.com/tcp/443/tls/ws/p2p/$("$shoal" --dir "$tmp/$P-front" id)
	cid=$("$shoal" --dir "$tmp/$P-front" add -q "$tmp/big")
	inside launch ha "$tmp/$P-a" node --listen /ip4/0.0.0.0/tcp/7001 --bootstrap "$at" || { end; return; }
	inside launch hb "$tmp/$P-b" share "$tmp/small" --listen /ip4/0.0.0.0/tcp/7001 --bootstrap "$at" || { end; return; }
	fetch "$tmp/$P-a" ha "$cid"
	cmp -s "$tmp/big" "$tmp/$P-a.got" || code=different
	figure "only a proxy gets out: get from a node on port 443" "exit $code, $elapsed s, silent $silent s, wan $(bytes_from wan)" "all by wan" \
		"$(holds "\"$code\" == \"0\" && $(bytes_from wan) == $((size << 20)) && $silent <= 5")"
	seen=$(status "$tmp/$P-a")
	line=$(field transport "${seen#*\"addr\":\"/dns4}"),$(field reached "${seen#*\"addr\":\"/dns4}")
	figure "  how it was reached, by status" "$line" "wss,proxy" "$([ "$line" = wss,proxy ] && echo 1 || echo 0)"
	line=$(ip netns exec "${P}ha" "$shoal" --dir "$tmp/$P-a" doctor 2>/dev/null | grep -E '^[a-z]+ +websocket' | tr -s ' ')
	figure "  the doctor" "$line" "names it" "$([[ $line == "ok websocket 1 peer connected by it, 1 of them through the proxy" ]] && echo 1 || echo 0)"
	await "$tmp/$P-b" 'tls/ws/p2p/[^"]*p2p-circuit' 8 || say "no circuit over WebSocket"
	cid=$(head -n 1 "$tmp/$P-b.out" | cut -f 1)
	fetch "$tmp/$P-a" ha "$cid" --timeout 20s
	cmp -s "$tmp/small" "$tmp/$P-a.got" || code=different
	figure "two such sites, by the CID alone" "exit $code, $elapsed s, relay $(bytes_from relay)" "all by relay" "$(holds "\"$code\" == \"0\" && $(bytes_from relay) == 100000")"
	end
}

# street NAME IF ADDR: an IPv6 address.
street() { ip -n "$P$1" addr add "$3/64" dev "$2" nodad && ip -n "$P$1" link set "$2" up; }

# six_world FILTER: two hosts behind routers that forward IPv6; with FILTER only what
# answers something.
six_world() {
	local x k n
	box net && ip -n "${P}net" link add br0 type bridge forward_delay 0 mcast_snooping 0 && ip -n "${P}net" link set br0 up || return
	for x in relay:2 watch:4 ra:11 rb:12; do
		box "${x%:*}" && ip link add pub netns "$P${x%:*}" type veth peer name "i-${x%:*}" netns "${P}net" &&
			ip -n "${P}net" link set "i-${x%:*}" master br0 up && street "${x%:*}" pub "2a00:1:0:f::${x#*:}" || return
	done
	for x in a:1 b:2; do
		k=${x#*:} x=${x%:*}
		box "h$x" && ip link add priv netns "${P}r$x" type veth peer name eth0 netns "${P}h$x" &&
			street "r$x" priv "2a00:1:0:$k::1" && street "h$x" eth0 "2a00:1:0:$k::2" && ip -n "${P}h$x" route add default via "2a00:1:0:$k::1" || return
		on "r$x" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
		for n in relay watch ra rb; do
			[ "$n" = "r$x" ] || ip -n "$P$n" route add "2a00:1:0:$k::/64" via "2a00:1:0:f::1$k" || return
		done
		[ -z "$1" ] || on "r$x" nft -f - <<-END || return
			table ip6 fw {
				chain forward { type filter hook forward priority filter; policy drop;
					iifname "priv" oifname "pub" accept
					ct state established,related accept
				}
			}
		END
	done
}

# part_six: IPv6 of the internet, open and behind firewalls.
part_six() {
	local filter from to want got line port=8500
	ip6
	for filter in '' yes; do
		begin 6
		six_world "$filter" && public || die "no network"
		for from in a b; do
			to=$([ $from = a ] && echo b || echo a) line='not met' port=$((port + 1))
			if two $from $to both $port "$tmp/small"; then
				"$shoal" --dir "$tmp/$P-$to-$port" get "$cid" --peer "$peer" --timeout 20s -o "$tmp/$P-got-$port" >/dev/null 2>"$tmp/$P-get.err"
				if await "$tmp/$P-$to-$port" "\"id\":\"$id\"[^}]*\"path\":\"(wan|lan)\"" 20; then
					got=$(grep -oE "\{\"id\":\"$id\"[^}]*\}" <<<"$seen")
					line="$(field transport "$got"), $(field reached "$got"), $(field reached_s "$got" | cut -c 1-5) s"
				fi
			fi
			want=$([ -n "$filter" ] && echo punch || echo dial)
			figure "IPv6${filter:+ behind firewalls}, $to fetches from $from" "$line" "by $want" "$([[ $line == *" $want,"* ]] && echo 1 || echo 0)"
			stop $from_pid $to_pid
		done
		end
	done
	ip4
}

# part_members: a private swarm whose members meet through a member that relays.
part_members() {
	local types invite
	for types in 3:3 4:4; do
		begin m
		world "${types%:*}" "${types#*:}" || die "no network"
		launch relay "$tmp/$P-relay" node --relay --create lab --listen "$relay_at/tcp/7461" --listen "$relay_at/udp/7461/quic-v1" || { end; return; }
		invite=$("$shoal" --dir "$tmp/$P-relay" swarm invite 2>/dev/null | head -n 1)
		SHOAL_JOIN=$invite launch ha "$tmp/$P-a" share "$tmp/small" $(listen both 7001) || { end; return; }
		SHOAL_JOIN=$invite launch hb "$tmp/$P-b" node $(listen both 7001) || { end; return; }
		await "$tmp/$P-a" "$relay_at/[^\"]*p2p-circuit" 8 || say "no circuit"
		fetch "$tmp/$P-b" hb "$(head -n 1 "$tmp/$P-a.out" | cut -f 1)" --timeout 20s
		cmp -s "$tmp/small" "$tmp/$P-b.got" || code=different
		figure "members of a private swarm, $types, by the CID alone" "exit $code, $elapsed s, wan $(bytes_from wan), relay $(bytes_from relay)" "exit 0" "$(holds "\"$code\" == \"0\"")"
		end
		rm -rf "$tmp/$P"m-*
	done
}

# gateway NAME: a router whose hosts ask it for ports, by UPnP and NAT-PMP.
gateway() {
	on "$1" nft -f - <<-END || return
		table inet upnp {
			chain prerouting { type nat hook prerouting priority -101; policy accept; jump asked; }
			chain postrouting { type nat hook postrouting priority 99; policy accept; jump back; }
			chain forward { type filter hook forward priority -1; policy accept; jump let; }
			chain asked { }
			chain back { }
			chain let { }
		}
	END
	cat >"$tmp/upnp.conf" <<-END
		ext_ifname=pub
		listening_ip=priv
		enable_natpmp=yes
		enable_upnp=yes
		uuid=7fbf1f1e-8d2c-4f0e-9d0a-5b1d9a6b1c11
		upnp_table_name=upnp
		upnp_nat_table_name=upnp
		upnp_forward_chain=let
		upnp_nat_chain=asked
		upnp_nat_postrouting_chain=back
		allow 1024-65535 0.0.0.0/0 1024-65535
	END
	ip netns exec "$P$1" miniupnpd -d -f "$tmp/upnp.conf" -P "$tmp/upnp.pid" >"$tmp/upnp.out" 2>&1 &
	pids[$!]=1
}

# part_portmap: behind a router that opens ports on demand, whoever cannot punch
# connects all the same.
part_portmap() {
	local got line='not met'
	want miniupnpd miniupnpd-nftables || { say "skipped: portmap needs miniupnpd"; return; }
	begin p
	world 3 4 && gateway ra && public || die "no network"
	SHOAL_PORTMAP=on two a b both 8600 "$tmp/small" || { end; return; }
	await "$tmp/$P-a-8600" '"reachability":"public"' 15 && line=public
	figure "UPnP or NAT-PMP: the host behind the router" "$(field reachability "$seen")" "public" "$([ "$line" = public ] && echo 1 || echo 0)"
	peer=$(grep -oE '"/ip4/11\.0\.0\.11[^"]*"' <<<"$seen" | tr -d '"' | head -n 1)
	fetch "$tmp/$P-b-8600" hb "$cid" --timeout 20s
	await "$tmp/$P-b-8600" "\"id\":\"$id\"[^}]*\"path\":\"(wan|lan)\"" 5 || seen=
	got=$(grep -oE "\{\"id\":\"$id\"[^}]*\}" <<<"$seen")
	figure "  a host behind a symmetric NAT, by the CID alone" "exit $code, $elapsed s, $(field transport "$got") $(field reached "$got")" "direct" "$(holds "\"$code\" == \"0\" && \"$got\" != \"\"")"
	end
}
