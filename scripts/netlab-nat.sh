#!/usr/bin/env bash
# netlab-nat.sh is scripts/netlab.sh nat: two hosts behind NATs of every kind, a
# relay and an observer on public addresses, all in network namespaces. It proves
# its NATs, then has shoal connect, and fetch, between every two of them.
#
#   scripts/netlab.sh nat [--only LIST] [--pairs LIST] [--modes LIST] [--runs N]
#                         [--delay D] [--size MIB] [--jobs N] [--hard] [--fresh] [--small] [--into DIR] [--shoal FILE]
#
#   --only LIST   of: prove reach get lan move crowd budget turn web six members portmap; all of them
#   --pairs LIST  such as 3:4,public:blocked; every unordered pair of types
#   --modes LIST  of: both quic tcp; all three
#   --runs N      of each pair, mode and direction; 1
#   --delay D     one way on each access link, such as 15ms; none
#   --size MIB    of the file that every pair fetches; 64
#   --jobs N      pairs at a time; 3
#   --hard        with --punch-hard on
#   --fresh       who fetches has just started, and does not know yet how it is reached
#   --small       one pair, a few seconds: shows that the lab works
#   --into DIR    keep the pairs' results there, and the words of nodes that did not meet;
#                 a pair that is there is not run again
#   --shoal FILE  use this binary instead of building one
#
# Types: public, 1 full cone, 2 address-restricted, 3 port-restricted, 4 symmetric,
# double (3 behind 3, as a carrier's NAT), blocked (3, and no UDP passes).
set -uo pipefail
cd "$(dirname "$0")/.." || exit
. scripts/lib.sh
. scripts/nat-net.sh
. scripts/nat-parts.sh

types=(public 1 2 3 4 double blocked)
only=prove,reach,get,lan,move,crowd,budget,turn,web,six,members,portmap pairs= modes=both,quic,tcp runs=1 delay= size=64 jobs=3 into= shoal= fresh=
while (($#)); do
	case $1 in
	--only | --pairs | --modes | --runs | --delay | --size | --jobs | --into | --shoal)
		(($# > 1)) || die "$1 needs a value"
		printf -v "${1#--}" %s "$2"
		shift
		;;
	--hard) export SHOAL_PUNCH_HARD=on ;;
	--fresh) fresh=1 ;;
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

# ---- the parts ---------------------------------------------------------------

# prove: what the probe says of each type must be what it is called.
prove() {
	local type want line
	for type in $(tr ',:' '\n\n' <<<"$pairs" | sort -u); do
		world "$type" || die "no network for $type"
		ip netns exec "${P}watch" "$probe" serve 11.0.0.4 11.0.0.5 >"$tmp/serve" &
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
				((direct)) || keep "$1-$2-$mode-$from-$run" $from $to $port
				stop $from_pid $to_pid
				rm -rf "$tmp/$P-$from-$port"* "$tmp/$P-$to-$port"* "$tmp/$P-got-$port"
			done
		done
	done
}

# keep NAME FROM TO PORT: the words of the nodes of a run, and what the getter says of itself.
keep() {
	mkdir -p "$into/lost-$1" && cp "$tmp/$P-$2-$4.err" "$tmp/$P-$3-$4.err" "$tmp/$P-get.err" "$into/lost-$1/" 2>/dev/null
	status "$tmp/$P-$3-$4" >"$into/lost-$1/status"
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
	SHOAL_LOG_LEVEL=info two a b both 8300 "$tmp/big" || return
	ip netns exec "${P}watch" "$probe" files "$tmp/files" 11.0.0.5:80 2>/dev/null &
	pids[$!]=1
	rm -f "$tmp/spent"
	(until grep -q 'carries no more' "$tmp/$P-b-8300.err"; do sleep 0.02; done; echo "$EPOCHREALTIME" >"$tmp/spent") &
	pids[$!]=1
	fetch "$tmp/$P-b-8300" hb "$cid" --peer "$peer" "$@"
	after=$(awk -v a="$(cat "$tmp/spent" 2>/dev/null)" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
	used=$(field relayed_bytes "$(status "$tmp/$P-relay")")
	cmp -s "$tmp/big" "$tmp/$P-b-8300.got" && same=1 || same=0
	stop_all
	drop_netns
}

# budget: symmetric x symmetric by relay, by origin, and what a budget is worth.
budget() {
	local same used after limit=$((size / 2)) B=$((size << 20))
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
	figure "  it ends after the relay's word, with no other source" "after $after s" "at most 3 s" "$(holds "$after <= 3")"
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
for part in turn web six members portmap; do
	if wants $part; then part_$part; fi
done
printf '%d missed, %d s\n' "$failed" $((SECONDS - from))
((failed == 0))
