#!/usr/bin/env bash
# netlab-private.sh is the lab of private swarms: three hosts of a swarm, a stranger
# with a correct address, one member that is revoked; the figures of private swarms.
#
#   scripts/netlab.sh private [--seconds N] [--rounds N] [--shoal FILE]
#
#   --seconds N   of the stranger's flood; 30
#   --rounds N    of each comparison of speed; 3
#   --shoal FILE  use this binary instead of building one
set -uo pipefail
cd "$(dirname "$0")/.." || exit
. scripts/lib.sh

shoal= seconds=30 rounds=3
while (($#)); do
	case $1 in
	--shoal | --seconds | --rounds)
		(($# > 1)) || die "$1 needs a value"
		printf -v "${1#--}" %s "$2"
		shift
		;;
	--help | -h)
		sed -n '/^#   scripts/,/^#   --shoal/s/^# \{0,3\}//p' scripts/netlab-private.sh
		exit
		;;
	*) die "unknown argument $1; see --help" ;;
	esac
	shift
done
need_netns

tmp=$(mktemp -d) || exit
trap 'stop_all; drop_netns; rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
[ -n "$shoal" ] || { shoal=$tmp/shoal && say building && build_shoal "$shoal"; } || die "it does not build"
go build -o "$tmp/stranger" ./internal/stranger || die "the stranger does not build"

export SHOAL_MDNS=off SHOAL_PORTMAP=off SHOAL_UPLOAD=unlimited
failed=0
P=pl$$ # of our namespaces

# figure NAME VALUE GOAL OK: one line of the table; OK is 0 or 1.
figure() {
	local verdict=ok
	(($4)) || { verdict=MISSED && failed=$((failed + 1)); }
	printf '%-46s %-22s %-18s %s\n' "$1" "$2" "$3" "$verdict"
}

# holds EXPRESSION: 1 if awk finds it true.
holds() { awk "BEGIN { print ($1) ? 1 : 0 }"; }

# host NAME NUMBER: a namespace with the address 11.7.0.NUMBER on the lab's switch.
host() {
	add_netns "$P$1" && ip link add eth0 netns "$P$1" type veth peer name "v$1" netns "${P}sw" &&
		cable "$P$1" eth0 "11.7.0.$2" && ip -n "${P}sw" link set "v$1" master br0 up
}

# cap NAME RATE: limit a host's link, each way; "off" lifts it.
cap() {
	local at
	for at in "$P$1 eth0" "${P}sw v$1"; do
		set -- "$1" "$2" $at
		if [ "$2" = off ]; then
			tc -n "$3" qdisc del dev "$4" root
		else
			tc -n "$3" qdisc replace dev "$4" root tbf rate "$2" burst 128kb latency 50ms
		fi || return
	done
}

# on NAME COMMAND...: run in a host.
on() {
	local ns=$P$1
	shift
	ip netns exec "$ns" "$@"
}

# launch NAME DIR tcp|udp|both FLAG...: start a node in a host, listening by those
# transports, and wait until it is ready. Its process is left in node_pid.
launch() {
	local name=$1 dir=$tmp/$2 by=$3 i listen=()
	shift 3
	[ "$by" = udp ] || listen+=(--listen /ip4/0.0.0.0/tcp/0)
	[ "$by" = tcp ] || listen+=(--listen /ip4/0.0.0.0/udp/0/quic-v1)
	mkdir -p "$dir"
	ip netns exec "$P$name" "$shoal" --dir "$dir" node "${listen[@]}" "$@" </dev/null >"$dir.out" 2>"$dir.err" &
	node_pid=$!
	pids[$node_pid]=1
	for ((i = 0; i < 600; i++)); do
		grep -qs '^shoal: ready' "$dir.err" && return
		kill -0 "$node_pid" 2>/dev/null || break
		sleep 0.05
	done
	die "the node of $name is not ready: $(tail -n 1 "$dir.err")"
}

# addr DIR TRANSPORT: the address of a node of ours.
addr() { sed -n "s,^shoal: listening on \(/ip4/11[^ ]*/$2/.*\),\1,p" "$tmp/$1.err" | head -n 1; }

# content DIR BYTES: add random bytes to a node; the CID is left in cid.
content() {
	head -c "$2" /dev/urandom >"$tmp/$1.bin" && cid=$("$shoal" --dir "$tmp/$1" add -q "$tmp/$1.bin") || die "add: $cid"
}

# fetch DIR CID FLAG...: get into nowhere that stays; its seconds are left in elapsed.
fetch() {
	local dir=$1
	shift
	rm -rf "$tmp/got"
	timed "$shoal" --dir "$tmp/$dir" get "$@" -o "$tmp/got" 2>"$tmp/get.err" >"$tmp/get.out"
}

# forget DIR CID: take back what was fetched, so that it is fetched again.
forget() { "$shoal" --dir "$tmp/$1" unshare "$2" 2>/dev/null && rm -rf "$tmp/got"; }

# settle DIR N: wait until a node has N members connected.
settle() {
	local i
	for ((i = 0; i < 200; i++)); do
		"$shoal" --dir "$tmp/$1" status --json | grep -q "\"members\":$2" && return
		sleep 0.05
	done
	die "$1 does not have $2 members: $("$shoal" --dir "$tmp/$1" swarm status 2>&1 | tail -n 3)"
}

# hosts: a switch and five hosts on it.
hosts() {
	local n=1 h
	add_netns "${P}sw" && ip -n "${P}sw" link add br0 type bridge forward_delay 0 mcast_snooping 0 &&
		ip -n "${P}sw" link set br0 up || die "no network namespaces here"
	for h in a b c s r; do
		n=$((n + 1))
		host $h $n || die "no host $h"
	done
}

# three: from nothing to three running members by three commands, and a first file.
three() {
	local from=$EPOCHREALTIME invite both
	launch a a both --create lab
	a_pid=$node_pid
	invite=$(sed -n 's/^shoal: others join with: shoal node --join //p' "$tmp/a.err")
	[ -n "$invite" ] || die "no invite: $(cat "$tmp/a.err")"
	launch b b both --join "$invite"
	launch c c both --join "$invite"
	launch r r both --join "$invite"
	both=$(awk -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f", b - a }')
	settle a 3
	figure "three members (and a fourth) from nothing" "1 command each, $both s" "3 commands" 1
	content a 1000000
	if fetch b "$cid"; then
		figure "get of 1 MB of A's, by B, first byte before" "$elapsed s" "at most 2 s" "$(holds "$elapsed <= 2")"
	else
		figure "get of A's file by B" "$(tail -n 1 "$tmp/get.err")" "at most 2 s" 0
	fi
}

# outsider: a stranger with the correct address gets nothing.
outsider() {
	local t verdict=0 seen
	for t in tcp udp; do
		on s timeout 60 "$shoal" --dir "$tmp/s$t" get "$cid" --peer "$(addr a "$t")" --timeout 6s -o "$tmp/stolen" >/dev/null 2>"$tmp/s.err"
		[ $? = 3 ] && [ ! -e "$tmp/stolen" ] && verdict=$((verdict + 1))
	done
	seen=$("$shoal" --dir "$tmp/a" swarm status | sed -n 's/^members  *//p')
	figure "a stranger with the address gets (tcp, quic)" "nothing: $verdict of 2" "nothing" $((verdict == 2))
	figure "then A has" "$seen" "0 not admitted" "$([[ $seen == *" 0 not admitted"* ]] && echo 1 || echo 0)"
}

# out: a member is revoked while it is connected, and comes back.
out() {
	local id from took i
	id=$("$shoal" --dir "$tmp/r" id)
	content b 300000
	fetch r "$cid" || die "the fourth member gets nothing before it is revoked"
	from=$EPOCHREALTIME
	"$shoal" --dir "$tmp/a" swarm revoke "$id" 2>/dev/null || die "revoke"
	for ((i = 0; i < 200; i++)); do
		"$shoal" --dir "$tmp/b" status --json | grep -q "\"id\":\"$id\"" || break
		sleep 0.02
	done
	took=$(awk -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f", b - a }')
	figure "revoked at A to disconnected from B" "$took s" "at most 5 s" "$(holds "$took <= 5")"
	content c 300000
	fetch r "$cid" --peer "$(addr b tcp)" --peer "$(addr c udp)" --timeout 5s
	figure "then it gets of C's" "$([ -e "$tmp/got" ] && echo something || echo nothing)" "nothing" "$([ -e "$tmp/got" ] && echo 0 || echo 1)"
}

# speed TRANSPORT: get of 256 MB from a private member against the same in the open
# swarm, in turn, links not limited.
speed() {
	local t=$1 i open=() private=() ratio
	launch a "oa$t" "$t"
	local one=$node_pid
	launch b "ob$t" "$t"
	local two=$node_pid
	launch a "pa$t" "$t" --create "speed$t"
	local three=$node_pid
	launch b "pb$t" "$t" --join "$(sed -n 's/^shoal: others join with: shoal node --join //p' "$tmp/pa$t.err")"
	local four=$node_pid
	content "oa$t" 256000000
	local same=$cid
	"$shoal" --dir "$tmp/pa$t" add -q "$tmp/oa$t.bin" >/dev/null
	for ((i = 0; i <= rounds; i++)); do # the first round is for warmth
		fetch "ob$t" "$same" --peer "$(addr "oa$t" "$t")" || die "open get: $(tail -n 1 "$tmp/get.err")"
		((i)) && open+=("$elapsed")
		forget "ob$t" "$same"
		fetch "pb$t" "$same" --peer "$(addr "pa$t" "$t")" || die "private get: $(tail -n 1 "$tmp/get.err")"
		((i)) && private+=("$elapsed")
		forget "pb$t" "$same"
	done
	stop $one $two $three $four
	rm -f "$tmp/oa$t.bin"
	ratio=$(awk -v o="$(median "${open[@]}")" -v p="$(median "${private[@]}")" 'BEGIN { printf "%.2f", o / p }')
	figure "private / open rate by $t, medians of $rounds" "$ratio ($(median "${private[@]}") / $(median "${open[@]}") s)" "at least 0.97" "$(holds "$ratio >= 0.97")"
}

# cpu PID: the seconds of a core that a process has had.
cpu() { awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) / hz }' "/proc/$1/stat"; }

# flood: members at 100 Mbit/s, and the same while a stranger connects to both as
# fast as it can. The file takes as long as the flood.
flood() {
	local h calm wild before after kept grown work more s
	for h in a b s; do
		cap $h 100mbit || die "no tbf here"
	done
	content a $((seconds * 11000000))
	for s in warm calm; do
		work=$(cpu $a_pid)
		fetch b "$cid" || die "get: $(tail -n 1 "$tmp/get.err")"
		calm=$elapsed
		forget b "$cid"
	done
	work=$(awk -v a="$work" -v b="$(cpu $a_pid)" 'BEGIN { print b - a }')
	before=$(memory $a_pid VmRSS)
	ip netns exec "${P}s" nice -n 19 "$tmp/stranger" -for "$((seconds + 2))s" "$(addr a tcp)" "$(addr a udp)" "$(addr b tcp)" "$(addr b udp)" >"$tmp/stranger.out" 2>&1 &
	s=$!
	pids[$s]=1
	sleep 1
	more=$(cpu $a_pid)
	fetch b "$cid" || die "get under flood: $(tail -n 1 "$tmp/get.err")"
	wild=$elapsed
	more=$(awk -v a="$more" -v b="$(cpu $a_pid)" 'BEGIN { print b - a }')
	after=$(memory $a_pid VmRSS)
	reap $s
	kept=$(awk -v a="$calm" -v b="$wild" 'BEGIN { printf "%.3f", a / b }')
	grown=$(awk -v a="$before" -v b="$after" 'BEGIN { printf "%.1f", b - a }')
	say "the stranger: $(tail -n 1 "$tmp/stranger.out"); A took $work s of a core in peace, $more s under the flood"
	figure "rate kept under a stranger's flood of $seconds s" "$kept ($calm, $wild s)" "at least 0.95" "$(holds "$kept >= 0.95")"
	figure "memory that A grew by meanwhile" "$grown MB" "less than 20 MB" "$(holds "$grown < 20")"
}

hosts
say "a private swarm"
three
outsider
say "a flood, twice $seconds s"
flood
say "revocation"
out
for h in a b s; do
	cap $h off
done
say "speed"
speed tcp
speed udp
printf '%d missed\n' "$failed"
((failed == 0))
