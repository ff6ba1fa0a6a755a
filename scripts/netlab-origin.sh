#!/usr/bin/env bash
# netlab-origin.sh measures what an HTTP origin and a crowd cost each other: real
# nodes in network namespaces, links with rates, nginx with the tree beside the
# file. The origin's access log says how many copies left it, and a stopwatch
# how long the last downloader took. It needs root, ip, tc, nginx and curl.
#
#   scripts/netlab.sh origin [--only REGEX] [--runs N] [--size MIB] [--shoal FILE]
#   scripts/netlab.sh origin --crowd N --class CLASS [--rates UP,UP,DOWN] [--size MIB]
#
#   --only REGEX  lines of the table whose names match: crowd-economy,
#                 crowd-interactive, crowd-32, small, office, never-slower-none,
#                 -treeless, -dead, -slow, -liars, -silent, -aria2c, churn,
#                 origin-stopped, poisoners, simulation
#   --crowd N     one crowd and nothing else, to explore
#   --rates       Mbit/s of the origin up, of a peer up and down; 100,50,200
#   --runs N      of each line of which the worst counts; 1
#   --smoke       a small crowd alone, in seconds
#   --keep DIR    leave there what each node said
#   --trace FILE  write there, twice a second, what each host of a crowd has sent
#   --shoal FILE  use this binary instead of building one
#
# Times are corrected: divided by 1.0456, what Ethernet, IP and TCP headers cost.
# B(c) = max(F/u_s, cF/u_s, F/d, (N-c)F/sum u_i) is the least time in which N
# downloaders can have the file when c copies leave the origin.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
. scripts/lib.sh

only=. runs=1 shoal= crowd= class=economy rates=100,50,200 size= smoke=false keep= trace=
while (($#)); do
	case $1 in
	--smoke) smoke=true ;;
	--only | --runs | --shoal | --crowd | --class | --rates | --size | --keep | --trace)
		(($# > 1)) || die "$1 needs a value"
		printf -v "${1#--}" %s "$2"
		shift
		;;
	--help | -h)
		sed -n '/^#   scripts/,/^#   --shoal/s/^# \{0,3\}//p' scripts/netlab-origin.sh
		exit
		;;
	*) die "unknown argument $1; see --help" ;;
	esac
	shift
done
need_netns
want nginx nginx && want curl curl && want nft nftables || die "this needs nginx, curl and nft (nftables)"

tmp=$(mktemp -d) || exit
trap 'stop_all; drop_netns; [ -z "$keep" ] || cp "$tmp"/*.json "$tmp"/*.status "$tmp"/*.log "$tmp"/*.err "$keep" 2>/dev/null; rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
[ -n "$shoal" ] || { shoal=$tmp/shoal && say building && build_shoal "$shoal"; } || die "it does not build"

export SHOAL_MDNS=off SHOAL_PORTMAP=off SHOAL_UPLOAD=unlimited
export -n https_proxy http_proxy HTTPS_PROXY HTTP_PROXY
failed=0
P=so$$ # of our namespaces
headers=1.0456
listen=(--listen /ip4/0.0.0.0/tcp/7461) # QUIC costs twice the cores, and there are few

# calc EXPRESSION: a number of at most three decimals.
calc() { awk "BEGIN { printf \"%.3f\", $1 }" | sed 's/\.\?0*$//'; }

# holds EXPRESSION: 1 if awk finds it true.
holds() { awk "BEGIN { print ($1) ? 1 : 0 }"; }

# figure NAME VALUE GOAL OK: one line of the table; OK is 0 or 1.
figure() {
	local verdict=ok
	(($4)) || { verdict=MISSED && failed=$((failed + 1)); }
	printf '%-44s | %-26s | %-24s | %s\n' "$1" "$2" "$3" "$verdict"
}

# host NAME IP: a namespace on the lab's switch, in a network of its own: to all
# others it is far.
host() {
	add_netns "$P$1" && ip link add eth0 address "$(mac "$2")" netns "$P$1" type veth peer name "v$1" netns "${P}sw" &&
		ip -n "$P$1" addr add "$2/32" dev eth0 && ip -n "$P$1" link set eth0 up &&
		ip -n "$P$1" route add 11.0.0.0/8 dev eth0 && ip -n "${P}sw" link set "v$1" master br0 up
}

# cap NAME UP DOWN: limit a host's link to so many Mbit/s each way.
cap() {
	shape "$P$1" eth0 "$2" && shape "${P}sw" "v$1" "$3"
}

# shape NAMESPACE INTERFACE MBIT: limit what leaves an interface.
shape() { tc -n "$1" qdisc replace dev "$2" root tbf rate "$3mbit" burst 128kb latency 50ms; }

# on NAME COMMAND...: run in a host.
on() {
	local ns=$P$1
	shift
	ip netns exec "$ns" "$@"
}

# switch: a new switch, without what was on an earlier one and what that left.
switch() {
	stop_all
	drop_netns
	rm -rf "$tmp"/p[0-9]* "$tmp/news" && mkfifo "$tmp/news" && exec {news}<>"$tmp/news"
	add_netns "${P}sw" && ip -n "${P}sw" link add br0 type bridge forward_delay 0 mcast_snooping 0 &&
		ip -n "${P}sw" link set br0 up || die "no network namespaces here"
}

# publish MIB: a file of random bytes and its tree, left in www, cid and bytes.
publish() {
	www=$tmp/www bytes=$(($1 << 20))
	[ "$(stat -c %s "$www/app.bin" 2>/dev/null)" = "$bytes" ] && return
	mkdir -p "$www"
	head -c "$bytes" /dev/urandom >"$www/app.bin"
	cid=$("$shoal" --dir "$tmp/hash" add -q --tree "$www/app.bin.shoal" "$www/app.bin" 2>/dev/null) || die "add: $cid"
	sum=$(sha256sum <"$www/app.bin")
}

# serve NAME IP: nginx in a host with what was published, its log new.
serve() {
	local i
	log=$tmp/access.log
	rm -f "$log"
	cat >"$tmp/nginx.conf" <<-END
		user $(id -un) $(id -gn);
		daemon off;
		pid $tmp/nginx.pid;
		worker_processes 1;
		events { worker_connections 4096; }
		http {
			log_format judge '\$msec \$remote_addr "\$request" \$status \$body_bytes_sent "\$http_range" \$request_time';
			access_log $log judge;
			sendfile on;
			sendfile_max_chunk 256k;
			default_type application/octet-stream;
			client_body_temp_path $tmp/body; proxy_temp_path $tmp/proxy; fastcgi_temp_path $tmp/fastcgi;
			uwsgi_temp_path $tmp/uwsgi; scgi_temp_path $tmp/scgi;
			server { listen $2:80; root $www; }
		}
	END
	ip netns exec "$P$1" nginx -p "$tmp" -c "$tmp/nginx.conf" -e "$tmp/nginx.err" </dev/null >/dev/null 2>&1 &
	nginx_pid=$!
	pids[$nginx_pid]=1
	origin=http://$2/app.bin
	for ((i = 0; i < 100; i++)); do
		on "$1" curl -q -s -o /dev/null "http://$2/none" && break
		sleep 0.05
	done
	((i < 100)) || die "nginx did not start: $(tail -n 1 "$tmp/nginx.err")"
}

# copies: how many copies of the file have left the origin, by its log.
copies() { awk -v f="$bytes" '/"GET \/app.bin HTTP/ { split($0, q, "\""); split(q[3], s, " "); n += s[2] } END { printf "%.3f", n / f }' "$log"; }

# launch NAME DIR FLAG...: start a node in a host and wait until it is ready. Its
# process is left in node_pid, its TCP address in node_addr.
launch() {
	local name=$1 dir=$tmp/$2 i
	shift 2
	mkdir -p "$dir"
	rm -f "$dir.out" "$dir.err" # what an earlier node said is not about this one
	ip netns exec "$P$name" "$shoal" --dir "$dir" node "${listen[@]}" "$@" </dev/null >"$dir.out" 2>"$dir.err" &
	node_pid=$!
	pids[$node_pid]=1
	for ((i = 0; i < 600; i++)); do
		grep -qs '^shoal: ready' "$dir.err" && break
		kill -0 "$node_pid" 2>/dev/null || die "the node of $name ended: $(tail -n 1 "$dir.err")"
		sleep 0.05
	done
	node_addr=$(sed -n 's,^shoal: listening on \(/ip4/11[^ ]*/tcp/.*\),\1,p' "$dir.err" | head -n 1)
}

# fetcher NAME FLAG...: get in a host, in the background, into $tmp/NAME.got; it may
# stay and seed. What waits for it is left in get_pid, its own process in
# $tmp/NAME.pid, its result in $tmp/NAME.json, its seconds in $tmp/NAME.took; await
# hears of both. Nothing polls: it would take the cores that are measured.
fetcher() {
	local name=$1
	shift
	rm -rf "$tmp/$name".*
	mkfifo "$tmp/$name.tell"
	(
		from=$EPOCHREALTIME
		ip netns exec "$P$name" "$shoal" --dir "$tmp/$name" --json get "$cid" "${listen[@]}" --timeout 60s --deadline 300s \
			--origin "$origin" -o "$tmp/$name.got" "$@" </dev/null >"$tmp/$name.tell" 2>"$tmp/$name.err" &
		echo $! >"$tmp/$name.pid"
		trap 'kill $! 2>/dev/null' TERM
		if read -r result <"$tmp/$name.tell"; then
			echo "$result" >"$tmp/$name.json"
			awk -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }' >"$tmp/$name.took"
			echo "$name" >"$tmp/news"
		fi
		wait $!
	) &
	get_pid=$!
	pids[$get_pid]=1
}

# await N: wait until N fetchers have told, at most five minutes.
await() {
	local i until=$((SECONDS + 300))
	for ((i = 0; i < $1; i++)); do
		read -r -t $((until > SECONDS ? until - SECONDS : 1)) -u "$news" || return
	done
}

# whole NAME: whether a host has the right file; it is deleted.
whole() {
	local got
	[ -f "$tmp/$1.got" ] || return
	got=$(sha256sum <"$tmp/$1.got")
	rm -f "$tmp/$1.got"
	[ "$got" = "$sum" ]
}

# bound N C UP,UP,DOWN: B(c) in seconds.
bound() {
	awk -v n="$1" -v c="$2" -v r="$3" -v f="$bytes" 'BEGIN {
		split(r, u, ","); m = f * 8 / 1e6; b = m / u[1]
		if (c > 1) b *= c
		if (m / u[3] > b) b = m / u[3]
		if ((n - c) * m / (n * u[2]) > b) b = (n - c) * m / (n * u[2])
		printf "%.2f", b }'
}

# assemble N UP,UP,DOWN: an origin, a bootstrap node that holds nothing and N hosts.
assemble() {
	local n=$1 i u known=("${P}o=11.7.1.1" "${P}b=11.7.1.2")
	IFS=, read -ra u <<<"$2"
	switch
	host o 11.7.1.1 && host b 11.7.1.2 || die "no hosts"
	cap o "${u[0]}" 1000
	for ((i = 1; i <= n; i++)); do
		host "p$i" "11.7.0.$i" && cap "p$i" "${u[1]}" "${u[2]}" || die "no host $i"
		known+=("${P}p$i=11.7.0.$i")
	done
	neighbours "${known[@]}" || die "no permanent neighbours"
	serve o 11.7.1.1
	rm -rf "$tmp/b"
	launch b b --relay
	boot=$node_addr
}

# watch FILE: write every half second what each host has sent so far, in bytes, and
# how long the cores were idle, in ticks.
watch() {
	# shellcheck disable=SC2016 # the inner shell expands them
	exec ip netns exec "${P}sw" bash -c 'cd /sys/class/net && exec {never}<><(:)
		until read -r -t 0.5 -u "$never"; do
			line=
			for v in v*; do read -r n <"$v/statistics/rx_bytes" && line+="$v=$n "; done
			read -r _ _ _ _ idle _ </proc/stat
			echo "${line}idle=$idle at=$EPOCHREALTIME"
		done' >"$1"
}

# together N CLASS FLAG...: N hosts fetch at once; the seconds of the last are left
# in last, what came of them in done, c, wrong and waste. Nodes run already, so
# that what is measured is not how fast two cores start N processes.
together() {
	local n=$1 class=$2 i watcher got=() nodes=()
	shift 2
	for ((i = 1; i <= n; i++)); do
		launch "p$i" "p$i" --bootstrap "$boot"
		nodes+=("$node_pid")
	done
	sleep 1
	for ((i = 1; i <= n; i++)); do
		fetcher "p$i" --class "$class" "$@"
		got+=("$get_pid")
	done
	if [ -n "$trace" ]; then
		watch "$trace" &
		watcher=$!
		pids[$watcher]=1
	fi
	for i in "${got[@]}"; do reap "$i"; done
	[ -z "$trace" ] || stop "$watcher"
	cpu=$(for i in "${nodes[@]}"; do cat "/proc/$i/stat"; done | awk -v hz="$(getconf CLK_TCK)" '{ u += $14; s += $15 } END { printf "%.1f+%.1f", u / hz, s / hz }')
	say "nodes took $cpu s of the cores (user+system)"
	for ((i = 1; i <= n; i++)); do "$shoal" --dir "$tmp/p$i" status --json "$cid" >"$tmp/p$i.status" 2>/dev/null; done
	tally "$n"
	stop "${nodes[@]}"
}

# tally N: see together.
tally() {
	local n=$1 i
	done=0 wrong=0 last=0
	for ((i = 1; i <= n; i++)); do
		if whole "p$i"; then done=$((done + 1)); else wrong=$((wrong + 1)); fi
	done
	last=$(cat "$tmp"/p*.took 2>/dev/null | sort -g | tail -n 1)
	stop "$nginx_pid" # its log is whole then
	c=$(copies)
	why=$(reasons "$n")
}

# reasons N: the origin bytes by reason, in copies.
reasons() {
	local i
	for ((i = 1; i <= $1; i++)); do
		grep -so '"origin_reasons": *{[^}]*}' "$tmp/p$i.json" | grep -o '"[a-z]*": *[0-9]*'
	done | awk -v f="$bytes" -F'[": ]+' '{ n[$2] += $3 } END { for (w in n) printf "%s %.2f ", w, n[w] / f }'
}

# line_crowd NAME N MIB UP,UP,DOWN CLASS COPIES STRETCH: one crowd, COPIES at most in
# STRETCH of the bound; STRETCH "-" is any time.
line_crowd() {
	local name=$1 n=$2 mib=$3 r=$4 class=$5 goal=$6 stretch=$7 b ratio i ok
	publish "$mib"
	for ((i = 0; i < runs; i++)); do
		assemble "$n" "$r"
		together "$n" "$class"
		b=$(bound "$n" "$c" "$r")
		ratio=$(calc "$last / $headers / $b")
		say "$name: $done of $n in $last s, B(c) $b s, by reason: $why"
		ok=$(holds "$done == $n && $c <= $goal")
		[ "$stretch" = - ] || ok=$((ok * $(holds "$ratio <= $stretch")))
		figure "$name, $n x $mib MiB" "$c copies, $ratio B(c)" "$goal copies, $stretch B(c)" "$ok"
	done
}


# office N: an office of N hosts behind one address and a line of 50 Mbit/s, the
# origin and a bootstrap node outside. They find each other by mDNS.
office() {
	local n=$1 i
	switch
	host o 11.7.1.1 && host b 11.7.1.2 && host r 11.7.0.100 && cap r 50 50 || die "no hosts"
	ip -n "${P}r" link add lan type bridge forward_delay 0 mcast_snooping 0 && cable "${P}r" lan 192.168.77.1 &&
		on r sysctl -qw net.ipv4.ip_forward=1 &&
		on r nft 'add table ip nat; add chain ip nat out { type nat hook postrouting priority 100; }; add rule ip nat out oifname eth0 masquerade' || die "no router"
	for ((i = 1; i <= n; i++)); do
		add_netns "${P}p$i" && ip link add eth0 netns "${P}p$i" type veth peer name "l$i" netns "${P}r" &&
			cable "${P}p$i" eth0 "192.168.77.$((i + 10))" && ip -n "${P}p$i" route add default via 192.168.77.1 &&
			ip -n "${P}r" link set "l$i" master lan up || die "no host $i"
	done
	serve o 11.7.1.1
	rm -rf "$tmp/b"
	launch b b --relay
	boot=$node_addr
}

line_office() {
	local n=10 i got=() late
	publish 64
	office $n
	for ((i = 1; i <= n; i++)); do
		SHOAL_MDNS=on fetcher "p$i" --bootstrap "$boot" --seed=1m
		got+=("$get_pid")
	done
	await $n
	stop "${got[@]}"
	tally $n
	say "office: $done of $n in $last s, by reason: $why"
	figure "office of $n, all at once, 64 MiB" "$c copies" "1.05 copies" "$(holds "$done == $n && $c <= 1.05")"

	office $n
	SHOAL_MDNS=on fetcher p1 --bootstrap "$boot" --seed=10m
	await 1
	late=$(copies)
	for ((i = 2; i <= n; i++)); do
		SHOAL_MDNS=on fetcher "p$i" --bootstrap "$boot"
		reap "$get_pid"
	done
	tally $n
	late=$(calc "$c - $late")
	say "office, one after another: $done of $n, $c copies, by reason: $why"
	figure "office, one after another while one seeds" "$late copies" "0 copies" "$(holds "$done == $n && $late == 0")"
}

# bad HOW N: N hostile hosts; their addresses are left in bad.
bad() {
	local how=$1 n=$2 i j
	bad=()
	[ -x "$tmp/hostile" ] || go build -o "$tmp/hostile" ./internal/hostile || die "the hostile peer does not build"
	shift 2
	for ((i = 1; i <= n; i++)); do
		host "x$i" "11.7.2.$i" || die "no hostile host"
		ip netns exec "${P}x$i" "$tmp/hostile" -how "$how" -listen /ip4/0.0.0.0/tcp/7461 "$@" "$www/app.bin" </dev/null >"$tmp/x$i.out" 2>"$tmp/x$i.err" &
		pids[$!]=1
		for ((j = 0; j < 1200; j++)); do # it hashes the file first
			grep -qs "${2:+announced}" "$tmp/x$i.out" && grep -qs /11.7 "$tmp/x$i.out" && break
			sleep 0.05
		done
		((j < 1200)) || die "hostile host $i is not ready: $(tail -n 1 "$tmp/x$i.err")"
		bad+=("$(grep /11.7 "$tmp/x$i.out")")
	done
}

# dead N: N hosts that never answer; their addresses are left in bad.
dead() {
	local i id
	bad=()
	for ((i = 1; i <= $1; i++)); do
		host "x$i" "11.7.2.$i" && ip -n "${P}x$i" route add blackhole 11.7.0.0/16 || die "no dead host"
		id=$("$shoal" --dir "$tmp/dead$i" id)
		bad+=("/ip4/11.7.2.$i/tcp/7461/p2p/$id")
	done
}

# one NAME FLAG...: a get alone against the seconds in curl, in one host.
one() {
	local name=$1 limit i flags=()
	shift
	for i in "${bad[@]}"; do flags+=(--peer "$i"); done
	rm -rf "$tmp/p1"
	if timed ip netns exec "${P}p1" "$shoal" --dir "$tmp/p1" --json get "$cid" --origin "$origin" -o "$tmp/p1.got" "${listen[@]}" --bootstrap "$boot" "${flags[@]}" "$@" </dev/null >"$tmp/p1.json" 2>"$tmp/p1.err" && whole p1; then
		limit=$(calc "1.05 * $curl + 1")
		say "$name: by reason: $(reasons 1)"
		figure "never slower: $name, 256 MiB" "$(calc "$elapsed") s" "$limit s" "$(holds "$elapsed <= $limit")"
	else
		figure "never slower: $name" "$(tail -n 1 "$tmp/p1.err")" "done" 0
	fi
}

# against NAME FLAG...: as one, with the time of curl over the same link; it is
# measured once.
against() {
	if [ -z "${by_curl:-}" ]; then
		timed ip netns exec "${P}p1" curl -q -s -o "$tmp/p1.got" "$origin" || die "curl"
		whole p1 || die "curl got something else"
		by_curl=$elapsed
	fi
	curl=$by_curl
	one "$@"
}

# lonely: an origin and one host, and the file that both tools fetch.
lonely() {
	publish 256
	assemble 1 200,200,200
	bad=()
}

line_never_slower_none() { lonely && against "no peers"; }

line_never_slower_treeless() {
	lonely
	mkdir -p "$www/bare" && ln -f "$www/app.bin" "$www/bare/app.bin"
	origin=${origin%/*}/bare/app.bin
	against "no peers, no tree"
	rm -rf "$www/bare"
}

line_never_slower_dead() { lonely && dead 5 && against "5 dead peers"; }
line_never_slower_slow() { lonely && bad drip 3 && against "3 peers of 1 KiB/s"; }
line_never_slower_liars() { lonely && bad lie 3 && against "3 peers that lie"; }
line_never_slower_silent() { lonely && bad silent 3 && against "3 peers that are silent"; }

line_never_slower_aria2c() {
	want aria2c aria2 || { say "skipped: aria2c is not here (Debian: aria2)" && return; }
	lonely
	timed ip netns exec "${P}p1" aria2c -q -x8 -d "$tmp" -o p1.got "$origin" || die "aria2c"
	curl=$elapsed
	whole p1 || die "aria2c got something else"
	one "no peers, against aria2c -x8"
}

line_churn() {
	local n=10 i got=()
	publish 128
	assemble 12 40,20,80
	for ((i = 1; i <= n; i++)); do
		fetcher "p$i" --class economy --bootstrap "$boot" --seed=5m
		got[i]=$get_pid
	done
	for i in 1 2; do # two of ten within about a minute
		sleep 15
		kill -9 "$(cat "$tmp/p$i.pid")" 2>/dev/null
		rm -f "$tmp/p$i".*
		fetcher "p$((n + i))" --class economy --bootstrap "$boot" --seed=5m
		got[n + i]=$get_pid
	done
	await $n
	stop "${got[@]}"
	tally $((n + 2))
	say "churn: $done, last $last s, by reason: $why"
	figure "20% churn a minute, $n x 128 MiB" "$c copies, $done done" "1.3 copies, $n done" "$(holds "$done == $n && $c <= 1.3")"
}

line_origin_stopped() {
	local n=8 i got=() sent
	publish 64
	assemble $n 50,25,100
	for ((i = 1; i <= n; i++)); do
		fetcher "p$i" --class economy --bootstrap "$boot" --seed=5m
		got+=("$get_pid")
	done
	for ((i = 0; i < 1000; i++)); do
		sent=$(on sw cat /sys/class/net/vo/statistics/rx_bytes)
		((sent > bytes * 10456 / 10000)) && break
		sleep 0.05
	done
	stop "$nginx_pid"
	await $n
	stop "${got[@]}"
	tally $n
	say "stopped: last $last s, by reason: $why"
	figure "origin stopped after 1.0 copies, $n x 64 MiB" "$done done, $c copies" "$n done" "$(holds "$done == $n")"
}

line_poisoners() {
	local n=8 b=4 i clean waste named=0
	publish 64
	assemble $n 50,25,100
	together $n economy
	clean=$last
	assemble $n 50,25,100
	bad lie $b -bootstrap "$boot"
	together $n economy
	waste=$(cat "$tmp"/p?.json | grep -o '"rejected_bytes": *[0-9]*' | awk -F: '{ n += $2 } END { print n / 1048576 }')
	for i in "${bad[@]}"; do grep -ql "${i##*/}" "$tmp"/p?.status && named=$((named + 1)); done
	say "poisoners: $clean s without, $last s with; by reason: $why"
	figure "$b poisoners among 12, wrong files" "$wrong" "0" "$(holds "$wrong == 0 && $done == $n")"
	figure "$b poisoners, pieces wasted per node and poisoner" "$(calc "$waste / $n / $b")" "1" "$(holds "$waste <= $n * $b")"
	figure "$b poisoners, time against none" "$(calc "$last / $clean")" "1.15" "$(holds "$last <= 1.15 * $clean")"
	figure "$b poisoners, named in status" "$named" "$b" $((named == b))
}

# line_simulation: a crowd of which each sees a few, in virtual time. Its bound is
# that of one copy, without headers.
line_simulation() {
	local n=1000 view=40 pieces=128 out late sent
	out=$(go run ./internal/sim/swarmsim -origin -n $n -view $view -pieces $pieces -seeds 1 -tick 10ms -rtt 20ms -unit 16 | tail -n 1)
	say "simulation: $out"
	read -r late sent < <(awk -F'|' '{ split($2, t, " "); split($3, c, " "); print t[2], c[3] }' <<<"$out")
	figure "simulation, $n, views of $view, $pieces MiB" "$sent copies, p99 $late B" "1.15 copies, p99 1.25 B" "$(holds "${sent:-9} <= 1.15 && ${late:-9} <= 1.25")"
}

line_crowd_economy() { line_crowd "cold crowd, economy" 8 128 100,50,200 economy 1.1 1.15; }
line_crowd_interactive() { line_crowd "cold crowd, interactive" 8 128 100,50,200 interactive 1.4 1.12; }
line_crowd_32() { line_crowd "cold crowd, economy" 32 32 25,12.5,50 economy 1.15 -; }
line_small() { line_crowd "small, interactive" 5 3 100,50,200 interactive 1.5 -; }

if $smoke; then
	line_crowd "cold crowd, smoke" 3 8 40,20,80 economy 1.5 4
elif [ -n "$crowd" ]; then
	line_crowd "$class" "$crowd" "${size:-128}" "$rates" "$class" 1.1 1.15
else
	for line in crowd_economy crowd_interactive crowd_32 small office never_slower_{none,treeless,dead,slow,liars,silent,aria2c} \
		churn origin_stopped poisoners simulation; do
		[[ ${line//_/-} =~ $only ]] && "line_$line"
	done
fi
printf '%d missed\n' "$failed"
((failed == 0))
