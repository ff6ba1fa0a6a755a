# A crowd in network namespaces; sourced after lib.sh, not run. The caller sets
# shoal and tmp and ends with stop_all and drop_netns.
#
# A switch, and one host behind it for each holder and each peer. A host's
# upload is limited where it leaves the host, its download where it leaves the
# switch, both by tbf, so what counts is what Ethernet carries: 1514 bytes for
# 1448 of TCP. Nothing else delays a packet: a round trip is what the queues make it.
#
# crowd_run SYSTEM runs the crowd that the array crowd describes and leaves what
# it measured in the array result.

# What a run is: rates in Mbit/s, size in MiB. path is what the hosts are to each
# other: lan when they share a subnet, wan when each is alone in its own.
declare -A crowd=([peers]=16 [size]=64 [holders]=1 [up_holder]=50 [up]=25 [down]=100 [path]=wan)

# What a run gave: seconds from the release to the peers' ends (last, median,
# done lists all), the bound in seconds (bound), last / bound (ratio) and the same
# without headers (corrected); copies the first holder sent (copies, of the wire,
# without headers) in all and until every byte stood elsewhere (spread); bytes got
# twice and bytes that are neither content nor headers, in percent of N contents
# (duplicates, control); seconds of a core (cpu) and the machine's use in percent (busy).
declare -A result=()

headers=1.0456 # 1514 / 1448: Ethernet, IP and TCP with timestamps
declare -A crowd_made=()

# calc EXPRESSION: a number by awk.
calc() { awk "BEGIN { printf \"%.6g\", $1 }"; }

# crowd_bound: max(F/u_s, F/d_min, N F/(u_s + sum u_i)) of the crowd, in seconds.
crowd_bound() {
	awk -v n="${crowd[peers]}" -v f="${crowd[size]}" -v h="${crowd[holders]}" -v s="${crowd[up_holder]}" \
		-v u="${crowd[up]}" -v d="${crowd[down]}" 'BEGIN {
		f *= 8 * 1024 * 1024 / 1e6; s *= h
		t = f / s
		if (f / d > t) t = f / d
		if (n * f / (s + n * u) > t) t = n * f / (s + n * u)
		printf "%.3f", t }'
}

# crowd_ip HOST: its address: h1 is 11.7.1.1, p16 is 11.7.2.16.
crowd_ip() { case $1 in h*) echo "11.7.1.${1#h}" ;; p*) echo "11.7.2.${1#p}" ;; esac }

# crowd_host HOST UP DOWN: make it unless it is there, and limit its link.
crowd_host() {
	local ns=$crowd_id$1 net=32 ip
	ip=$(crowd_ip "$1")
	[ "${crowd[path]}" = wan ] || net=16
	if [ -z "${crowd_made[$1]:-}" ]; then
		add_netns "$ns" && ip link add eth0 netns "$ns" type veth peer name "v$1" netns "${crowd_id}sw" &&
			ip -n "$ns" link set eth0 up && ip -n "${crowd_id}sw" link set "v$1" master br0 up || return
		crowd_made[$1]=1
	fi
	ip -n "$ns" addr flush dev eth0 && ip -n "$ns" addr add "$ip/$net" dev eth0 &&
		ip -n "$ns" route replace 11.7.0.0/16 dev eth0 scope link &&
		tc -n "$ns" qdisc replace dev eth0 root tbf rate "$2mbit" burst 128kb latency 50ms &&
		tc -n "${crowd_id}sw" qdisc replace dev "v$1" root tbf rate "$3mbit" burst 128kb latency 50ms
}

# crowd_hosts: the switch and every host of this crowd.
crowd_hosts() {
	local i
	if [ -z "${crowd_id:-}" ]; then
		crowd_id=cl$$
		add_netns "${crowd_id}sw" &&
			ip -n "${crowd_id}sw" link add br0 type bridge forward_delay 0 mcast_snooping 0 &&
			ip -n "${crowd_id}sw" link set br0 up || return
	fi
	crowd_holders=() crowd_peers=()
	for ((i = 1; i <= crowd[holders]; i++)); do
		crowd_host "h$i" "${crowd[up_holder]}" "${crowd[down]}" || return
		crowd_holders+=("h$i")
	done
	for ((i = 1; i <= crowd[peers]; i++)); do
		crowd_host "p$i" "${crowd[up]}" "${crowd[down]}" || return
		crowd_peers+=("p$i")
	done
}

# crowd_on HOST COMMAND...: run in a host.
crowd_on() {
	local ns=$crowd_id$1
	shift
	ip netns exec "$ns" "$@"
}

# crowd_start HOST COMMAND...: start a process in a host that stays; what it
# prints goes to HOST.out and HOST.err.
crowd_start() {
	local host=$1
	shift
	ip netns exec "$crowd_id$host" "$@" </dev/null >"$home/$host.out" 2>"$home/$host.err" &
	pids[$!]=1
	crowd_pids+=($!)
}

# crowd_await HOST WORDS: wait until what a process of crowd_start says begins so.
crowd_await() {
	local i
	for ((i = 0; i < 600; i++)); do
		grep -qs "^$2" "$home/$1.err" && return
		sleep 0.05
	done
	why="$1 did not say '$2': $(tail -n 1 "$home/$1.err")"
	return 1
}

# crowd_wait HOST COMMAND...: a process that waits at the gate and then runs
# COMMAND; its status and the time of its end go to HOST.end, what it cost to HOST.cost.
crowd_wait() {
	local host=$1
	shift
	(
		: <"$home/gate"
		timeout "$limit" "$@" </dev/null >"$home/$host.get" 2>"$home/$host.say"
		echo "$? $EPOCHREALTIME" >"$home/$host.end"
		times | awk 'NR == 2 { gsub("[ms]", " "); print $1 * 60 + $2 + $3 * 60 + $4 }' >"$home/$host.cost"
	) &
	pids[$!]=1
	crowd_waiting[$!]=$host
}

# crowd_sent HOST: bytes and packets that left a host, headers and all.
crowd_sent() { tc -n "$crowd_id$1" -s qdisc show dev eth0 | crowd_sum; }

# crowd_received: bytes and packets that reached all hosts.
crowd_received() { tc -n "${crowd_id}sw" -s qdisc show | crowd_sum; }

# crowd_sum: bytes and packets of all tbf in what tc -s says.
crowd_sum() { awk '/^qdisc/ { t = $2 == "tbf" } t && $1 == "Sent" { b += $2; p += $4 } END { printf "%.0f %.0f", b, p }'; }

# crowd_cost: seconds of a core that all processes of the run have had.
crowd_cost() {
	local pid
	{
		for pid in "${crowd_pids[@]}"; do
			awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) / hz }' "/proc/$pid/stat" 2>/dev/null
		done
		cat "$home"/*.cost 2>/dev/null
	} | awk '{ s += $1 } END { printf "%.3f", s }'
}

# crowd_busy: ticks that the machine worked and ticks that there were.
crowd_busy() { awk '$1 == "cpu" { print $2 + $3 + $4 + $7 + $8 + $9, $2 + $3 + $4 + $5 + $6 + $7 + $8 + $9; exit }' /proc/stat; }

# crowd_file: random content of the crowd's size, left in file; made once.
crowd_file() {
	file=$tmp/content-${crowd[size]}
	[ -s "$file" ] || head -c $((crowd[size] << 20)) /dev/urandom >"$file"
}

# crowd_run SYSTEM: one run; 1 with the reason in why when it cannot be measured.
crowd_run() {
	why="no reason given"
	local home status=0 limit crowd_pids=()
	local -A crowd_waiting=()
	home=$(mktemp -d "$tmp/crowd.XXXXXX") && mkfifo "$home/gate" || return
	limit=$(calc "int(20 + 8 * $(crowd_bound))")
	result=()
	crowd_file && crowd_hosts && "crowd_$1" && crowd_measure "$1" || status=1
	stop "${crowd_pids[@]}" "${!crowd_waiting[@]}"
	if ((status)) && [ -n "${CROWD_KEEP:-}" ]; then
		cp -r "$home" "$CROWD_KEEP"
	fi
	rm -rf "$home"
	return $status
}

# crowd_measure SYSTEM: open the gate, wait for all, and fill result.
crowd_measure() {
	local host pid t0 got end bytes sent0 sent1 all0 all1 busy0 busy1 cost0
	sleep 1 # all stand at the gate, and what starting needed is over
	sent0=$(crowd_sent h1) all0=$(crowd_received) cost0=$(crowd_cost) busy0=$(crowd_busy)
	t0=$EPOCHREALTIME
	: >"$home/gate"
	for pid in "${!crowd_waiting[@]}"; do
		reap "$pid"
	done
	crowd_waiting=()
	sent1=$(crowd_sent h1) all1=$(crowd_received) busy1=$(crowd_busy)
	for host in "${crowd_peers[@]}"; do
		read -r got end <"$home/$host.end"
		if ((got)) || ! cmp -s "$file" "$home/$host.got"; then
			why="$host got nothing (exit $got): $(tail -n 1 "$home/$host.say")"
			return 1
		fi
		result[done]+=" $(calc "$end - $t0")"
	done
	result[cpu]=$(calc "$(crowd_cost) - $cost0")
	bytes=$(stat -c %s "$file")
	result[bound]=$(crowd_bound)
	result[median]=$(median ${result[done]})
	result[last]=$(printf '%s\n' ${result[done]} | sort -n | tail -n 1)
	result[ratio]=$(calc "${result[last]} / ${result[bound]}")
	result[corrected]=$(calc "${result[ratio]} / $headers")
	set -- $sent0 $sent1
	result[copies]=$(calc "($3 - $1 - 66 * ($4 - $2)) / $bytes")
	set -- $all0 $all1
	result[control]=$(calc "100 * (($3 - $1 - 66 * ($4 - $2)) / ($bytes * ${crowd[peers]}) - 1)")
	set -- $busy0 $busy1
	result[busy]=$(calc "100 * ($3 - $1) / ($4 - $2)")
	result[duplicates]=$(cat "$home"/p*.get | tr ',' '\n' | awk -F: -v all=$((bytes * crowd[peers])) \
		'/"duplicate_bytes"/ { s += $2 } END { printf "%.3g", 100 * s / all }')
}

# crowd_shoal: a node for every holder, with the content, and for every peer, and
# a get that waits for each peer. The nodes of the peers serve on after their get.
crowd_shoal() {
	local host link cid flags=(--mdns off --portmap off --upload unlimited)
	for host in "${crowd_holders[@]}"; do
		cid=$("$shoal" --dir "$home/$host" add -q "$file" 2>"$home/$host.err") || {
			why="add: $(tail -n 1 "$home/$host.err")"
			return 1
		}
	done
	for host in "${crowd_holders[@]}" "${crowd_peers[@]}"; do
		crowd_start "$host" "$shoal" --dir "$home/$host" node --listen "/ip4/$(crowd_ip "$host")/tcp/7461" "${flags[@]}"
	done
	link=shoal:$cid
	for host in "${crowd_holders[@]}" "${crowd_peers[@]}"; do
		crowd_await "$host" "shoal: ready" || return
		[[ $host == p* ]] && continue
		[[ $link == *\?* ]] && link+='&' || link+='?'
		link+=peer=$(sed -n 's/^shoal: listening on //p' "$home/$host.err" | head -n 1)
	done
	for host in "${crowd_peers[@]}"; do
		crowd_wait "$host" "$shoal" --dir "$home/$host" --json get "$link" -o "$home/$host.got" --timeout 30s
	done
}

# crowd_torrent: the same with libtorrent, a process a host; peers are told of
# the holders and find each other by peer exchange.
crowd_torrent() {
	local host told=()
	/usr/bin/python3 scripts/crowd-torrent.py make "$file" "$home/torrent" 2>"$home/make.err" || {
		why="libtorrent: $(tail -n 1 "$home/make.err")"
		return 1
	}
	for host in "${crowd_holders[@]}"; do
		crowd_start "$host" /usr/bin/python3 scripts/crowd-torrent.py seed "$home/torrent" "$file" "$(crowd_ip "$host")"
		told+=("$(crowd_ip "$host")")
	done
	for host in "${crowd_peers[@]}"; do
		crowd_start "$host" /usr/bin/python3 scripts/crowd-torrent.py get "$home/torrent" "$home/$host.got" \
			"$(crowd_ip "$host")" "$home/gate" "$home/$host.end" "${told[@]}"
	done
	for host in "${crowd_holders[@]}" "${crowd_peers[@]}"; do
		crowd_await "$host" ready || return
	done
	for host in "${crowd_peers[@]}"; do # the process stays, so its end is waited for
		timeout "$limit" bash -c 'until [ -s "$1" ]; do sleep 0.2; done' _ "$home/$host.end" &
		pids[$!]=1
		crowd_waiting[$!]=$host
	done
}

# want_libtorrent: true when Debian's libtorrent is here or can be installed.
want_libtorrent() {
	/usr/bin/python3 -c 'import libtorrent' 2>/dev/null || {
		want no-such-command python3-libtorrent
		/usr/bin/python3 -c 'import libtorrent' 2>/dev/null
	}
}

# crowd_disk: where homes stand: in memory when there is room, for the lab
# measures links and processors, not a disk.
crowd_disk() {
	if [ -w /dev/shm ] && (($(df --output=avail -m /dev/shm | tail -n 1) > 6000)); then
		echo /dev/shm
	else
		echo "${TMPDIR:-/tmp}"
	fi
}
