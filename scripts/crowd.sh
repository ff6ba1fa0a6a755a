# A crowd in network namespaces; sourced after lib.sh, not run. The caller sets
# shoal (empty: to be built) and tmp, calls crowd_build, and ends with stop_all and drop_netns.
#
# A switch, and a host behind it for each holder (h1, h2, ...), peer (p1, ...) and
# free-rider (r1, ...). A host's upload is limited where it leaves the host, its
# download where it leaves the switch, both by tbf, so what counts is what Ethernet
# carries: 1514 bytes for 1448 of TCP. Nothing else delays a packet: a round trip
# is what the queues make it. A bucket holds two packets of 64 KiB, so that a late
# timer of a busy machine costs no rate.
#
# crowd_set NAME=VALUE... says what a run is, crowd_run SYSTEM runs it and leaves
# what it measured in the array result. A system is a function crowd_SYSTEM.
. scripts/crowd-systems.sh

headers=1.0456 # 1514 / 1448: Ethernet, IP and TCP with timestamps

declare -A crowd=()

# crowd_set [NAME=VALUE...]: the parameters of the runs to come; what is not named
# is as here. Rates are in Mbit/s, the size in MiB.
#
#   path    what the hosts are to each other: wan when each is alone in its subnet,
#           lan when they share one
#   swarm   open or private
#   profile which pieces the content has: unixfs-v1-2025 of 1 MiB, unixfs-v0-2015 of 256 KiB
#   stay    yes: a node for each peer, which serves on when its get is done; no: a
#           get that ends
#   over    the peers come at random times within so many seconds; the same ones
#           with the same seed
#   riders  how many free-riders there are beside the peers; rider is their kind,
#           a crowd_rider_KIND of scripts/crowd-systems.sh
#   leave   so many peers, drawn at random, leave between a quarter and three
#           quarters of the bound
#   give    the first holder leaves when it has sent so many copies
crowd_set() {
	local pair
	crowd=([peers]=16 [size]=64 [holders]=1 [up_holder]=50 [up]=25 [down]=100 [path]=wan [swarm]=open [stay]=yes
		[profile]=unixfs-v1-2025
		[over]=0 [seed]=1 [riders]=0 [rider]=passive [leave]=0 [give]=0)
	for pair in "$@"; do
		crowd[${pair%%=*}]=${pair#*=}
	done
}
crowd_set

# What a run gave:
#   done         seconds from each peer's start to its end; last, median: of them
#   lost         of a crowd in which some leave: who stayed and was not done
#   riders       the same of the free-riders; of one that was not done when the
#                peers had been for twice their time, how long it had tried
#   bound        the least seconds possible; ratio: last / bound; corrected:
#                ratio without headers
#   allowed      the least mean seconds that the links allow those who come one after
#                the other, without headers
#   copies       what the first holder sent, in contents, without headers; told: the
#                same as its status says; spread: until every byte stood at some peer
#   duplicates   what was got twice, control: what is neither content nor headers nor
#                got twice, both in percent of what the peers fetched
#   cpu, busy    seconds of a core that the processes had; percent of all cores that
#                the machine was at work
declare -A result=()

# calc EXPRESSION: a number by awk.
calc() { awk "BEGIN { printf \"%.12g\", ($1) }"; }

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

# crowd_ip HOST: its address, each in a network of its own as far as anyone can
# tell: h1 is 11.1.1.1, p16 is 11.2.16.1, r4 is 11.3.4.1.
crowd_ip() { case $1 in h*) echo "11.1.${1#h}.1" ;; p*) echo "11.2.${1#p}.1" ;; r*) echo "11.3.${1#r}.1" ;; esac }

# crowd_host HOST UP DOWN: make it unless it is there, and limit its link.
crowd_host() {
	local ns=$crowd_id$1 net=32 ip
	ip=$(crowd_ip "$1")
	[ "${crowd[path]}" = wan ] || net=8
	if [ -z "${crowd_made[$1]:-}" ]; then
		add_netns "$ns" && ip link add eth0 address "$(mac "$ip")" netns "$ns" type veth peer name "v$1" netns "${crowd_id}sw" &&
			ip -n "$ns" link set eth0 up && ip -n "${crowd_id}sw" link set "v$1" master br0 up || return
		crowd_made[$1]=1
	fi
	ip -n "$ns" addr flush dev eth0 && ip -n "$ns" addr add "$ip/$net" dev eth0 &&
		ip -n "$ns" route replace 11.0.0.0/8 dev eth0 scope link &&
		tc -n "$ns" qdisc replace dev eth0 root tbf rate "$2mbit" burst 128kb latency 50ms &&
		tc -n "${crowd_id}sw" qdisc replace dev "v$1" root tbf rate "$3mbit" burst 128kb latency 50ms
}
declare -A crowd_made=()

# A switch has no packet filter to ask, where the kernel would ask one for every frame.
crowd_unfiltered='for f in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e "$f" ] || echo 0 >"$f"; done'

# crowd_hosts: the switch and every host of this crowd. Hosts are kept for later runs.
crowd_hosts() {
	local i known=()
	why="no network namespaces with tbf here"
	if [ -z "${crowd_id:-}" ]; then
		crowd_id=cl$$
		add_netns "${crowd_id}sw" &&
			ip -n "${crowd_id}sw" link add br0 type bridge forward_delay 0 mcast_snooping 0 &&
			ip -n "${crowd_id}sw" link set br0 up && ip netns exec "${crowd_id}sw" sh -c "$crowd_unfiltered" || return
	fi
	holders=() peers=() riders=()
	for ((i = 1; i <= crowd[holders]; i++)); do
		holders+=("h$i") && crowd_host "h$i" "${crowd[up_holder]}" "${crowd[down]}" || return
	done
	for ((i = 1; i <= crowd[peers]; i++)); do
		peers+=("p$i") && crowd_host "p$i" "${crowd[up]}" "${crowd[down]}" || return
	done
	for ((i = 1; i <= crowd[riders]; i++)); do
		riders+=("r$i") && crowd_host "r$i" "${crowd[up]}" "${crowd[down]}" || return
	done
	for i in "${!crowd_made[@]}"; do known+=("$crowd_id$i=$(crowd_ip "$i")"); done
	neighbours "${known[@]}"
}

# crowd_start HOST COMMAND...: start a process in a host that stays; what it
# prints goes to HOST.out and HOST.err.
crowd_start() {
	local host=$1
	shift
	ip netns exec "$crowd_id$host" "$@" </dev/null >"$home/$host.out" 2>"$home/$host.err" &
	pids[$!]=1
	started[$host]=$!
}

# crowd_await HOST WORDS: wait until what a process of crowd_start says has a line
# that begins so.
crowd_await() {
	local i
	for ((i = 0; i < 600; i++)); do
		grep -qs "^$2" "$home/$1.err" && return
		sleep 0.05
	done
	why="$1 did not say '$2': $(tail -n 1 "$home/$1.err")"
	return 1
}

# crowd_wait HOST COMMAND...: a process that waits at the gate and for its time,
# and then runs COMMAND in its host; its status and the times of its start and end
# go to HOST.end, what it prints to HOST.get and HOST.say, what it cost to HOST.cost.
crowd_wait() {
	local host=$1 delay=$((crowd[over] ? RANDOM * crowd[over] * 1000 / 32768 : 0))
	shift
	ip netns exec "$crowd_id$host" bash -c "$crowd_waiter" bash "$home" "$host" "$limit" \
		"$((delay / 1000)).$(printf %03d $((delay % 1000)))" "$@" &
	pids[$!]=1
	waiting[$host]=$!
}

# What waits is in its host already: to get there costs as much of a core as a get.
# Arguments: home, host, the longest time, the delay in seconds, the command.
crowd_waiter='
	home=$1 host=$2 limit=$3 delay=$4
	shift 4
	: <"$home/gate"
	[ "$delay" = 0.000 ] || sleep "$delay"
	trap "kill \$child; exit 143" TERM
	from=$EPOCHREALTIME
	timeout "$limit" "$@" </dev/null >"$home/$host.get" 2>"$home/$host.say" &
	child=$!
	wait "$child"
	echo "$? $from $EPOCHREALTIME" >"$home/$host.end"
	times >"$home/$host.cost"
'

# crowd_sent HOST: bytes and packets that left a host, headers and all.
crowd_sent() { tc -n "$crowd_id$1" -s qdisc show dev eth0 | crowd_sum; }

# crowd_received: bytes and packets that reached all hosts but free-riders: what these
# get is in nobody's content.
crowd_received() { tc -n "${crowd_id}sw" -s qdisc show | crowd_sum; }

# crowd_sum: bytes and packets of all tbf in what tc -s says, but on links to free-riders.
crowd_sum() { awk '/^qdisc/ { t = $2 == "tbf" && $5 !~ /^vr/ } t && $1 == "Sent" { b += $2; p += $4 } END { printf "%.0f %.0f", b, p }'; }

# crowd_cost: seconds of a core that all processes of the run have had.
crowd_cost() {
	local pid
	{
		for pid in "${started[@]}"; do
			awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) / hz }' "/proc/$pid/stat" 2>/dev/null
		done
		# of bash's times, the second line is of the children
		cat "$home"/*.cost 2>/dev/null | awk 'NR % 2 == 0 { gsub("[ms]", " "); print $1 * 60 + $2 + $3 * 60 + $4 }'
	} | awk '{ s += $1 } END { printf "%.3f", s }'
}

# crowd_busy: ticks that the machine worked and ticks that there were.
crowd_busy() { awk '$1 == "cpu" { print $2 + $3 + $4 + $7 + $8 + $9, $2 + $3 + $4 + $5 + $6 + $7 + $8 + $9; exit }' /proc/stat; }

# crowd_file: random content of the crowd's size, left in content; made once.
crowd_file() {
	content=$tmp/content-${crowd[size]} bytes=$((crowd[size] << 20))
	[ -s "$content" ] || head -c $bytes /dev/urandom >"$content"
}

# crowd_run SYSTEM: one run; 1 with the reason in why when it cannot be measured.
# With keep set, what everybody said is left in the folder keep/SYSTEM-N.
crowd_run() {
	local home status=0 limit content bytes host holders peers riders leavers=()
	local -A started=() waiting=() extra=()
	home=$(mktemp -d "$tmp/crowd.XXXXXX") && mkfifo "$home/gate" || return
	limit=$(calc "int(20 + ${crowd[over]} + 8 * $(crowd_bound))")
	result=()
	RANDOM=${crowd[seed]}
	crowd_file && crowd_hosts && "crowd_$1" && crowd_measure || status=1
	[ -z "${keep:-}" ] || crowd_keep "$1"
	stop "${extra[@]}" "${waiting[@]}" "${started[@]}"
	rm -rf "$home"
	return $status
}

# crowd_keep SYSTEM: keep what everybody said, and what the nodes say now.
crowd_keep() {
	local host into=$keep/$1-$((++kept))
	mkdir -p "$into"
	for host in "${holders[@]}" "${peers[@]}" "${riders[@]}"; do
		[ ! -S "$home/$host/api.sock" ] || timeout 5 "$shoal" --dir "$home/$host" status --json >"$into/$host.status" 2>&1
	done
	cp "$home"/*.{out,err,get,say,end,cost} "$into" 2>/dev/null
	declare -p crowd result >"$into/result"
}
kept=0

# crowd_watch: begin to watch the first holder's link: when the content is spread,
# and when it leaves.
crowd_watch() {
	local least=0 # one holder has to send it all before it can be elsewhere
	((crowd[holders] > 1)) || least=$bytes
	ip netns exec "${crowd_id}h1" "$labwatch" -size "$bytes" -least "$least" "$home/p*.got" "$home/.p*.got.shoal-partial*" \
		>"$home/spread.out" 2>"$home/spread.err" &
	pids[$!]=1 extra[spread]=$!
	crowd_await spread ready || return
	[ "${crowd[give]}" != 0 ] || return 0
	ip netns exec "${crowd_id}h1" "$labwatch" -sent "$(calc "int($bytes * ${crowd[give]})")" -end "${started[h1]}" \
		>"$home/give.out" 2>"$home/give.err" &
	pids[$!]=1 extra[give]=$!
	crowd_await give ready
}

# crowd_leavers: who leaves, drawn at random, each killed at its time.
crowd_leavers() {
	local host bound
	bound=$(crowd_bound)
	leavers=($(shuf -n "${crowd[leave]}" -e "${peers[@]}"))
	for host in "${leavers[@]}"; do
		(
			: <"$home/gate"
			sleep "$(calc "$bound * (0.25 + $RANDOM / 65536)")"
			kill -9 "${started[$host]}"
		) &
		pids[$!]=1 extra[$host]=$!
	done
}

# crowd_measure: open the gate, wait for all, and fill result.
crowd_measure() {
	local host sent0 sent1 all0 all1 busy0 busy1 cost0 t0
	crowd_leavers
	crowd_watch || return
	sleep 1 # all stand at the gate, and what starting needed is over
	sent0=$(crowd_sent h1) all0=$(crowd_received) cost0=$(crowd_cost) busy0=$(crowd_busy)
	result[lost]=0
	t0=$EPOCHREALTIME
	: >"$home/gate"
	for host in "${peers[@]}"; do
		reap "${waiting[$host]}"
		unset "waiting[$host]"
	done
	sent1=$(crowd_sent h1) all1=$(crowd_received) busy1=$(crowd_busy)
	result[cpu]=$(calc "$(crowd_cost) - $cost0")
	for host in "${peers[@]}"; do
		[[ " ${leavers[*]} " == *" $host "* ]] || crowd_end "$host" done && continue
		((crowd[leave] > 0)) || return
		result[lost]=$((result[lost] + 1))
		say "$why"
	done
	crowd_times
	crowd_shares $sent0 $sent1 $all0 $all1
	set -- $busy0 $busy1
	result[busy]=$(calc "100 * ($3 - $1) / ($4 - $2)")
	crowd_riders "$t0"
}

# crowd_end HOST KEY: how long it took, to result[KEY], if it has the content.
crowd_end() {
	local got from end
	read -r got from end <"$home/$1.end"
	if ((got)) || ! cmp -s "$content" "$home/$1.got"; then
		why="$1 got nothing (exit $got): $(tail -n 1 "$home/$1.say")"
		return 1
	fi
	result[$2]+=" $(calc "$end - $from")"
}

# crowd_times: what follows from when they were done.
crowd_times() {
	result[bound]=$(crowd_bound)
	[ -n "${result[done]:-}" ] || result[done]=$limit # nobody; so long was waited
	result[median]=$(median ${result[done]})
	result[last]=$(printf '%s\n' ${result[done]} | sort -n | tail -n 1)
	result[ratio]=$(calc "${result[last]} / ${result[bound]}")
	result[corrected]=$(calc "${result[ratio]} / $headers")
	((crowd[over] == 0)) || result[allowed]=$(cat "$home"/p*.end | crowd_allowed)
}

# crowd_allowed: the mean seconds of those who came when they did, from their lines
# HOST.end, if at any moment all that is here is sent, and divided equally.
crowd_allowed() {
	sort -k 2 | awk -v f="${crowd[size]}" -v s="$((crowd[holders] * crowd[up_holder]))" -v u="${crowd[up]}" -v d="${crowd[down]}" -v stay="${crowd[stay]}" '
		NR == 1 { first = $2 }
		{ at[NR] = $2 - first }
		END {
			f *= 8 * 1024 * 1024 / 1e6; dt = 0.01; came = 0
			for (t = 0; done < NR; t += dt) {
				while (came < NR && at[came + 1] <= t) left[++came] = f
				n = came - done
				if (n == 0) continue
				others = stay == "yes" ? came : n
				if (n == 1) others-- # nobody sends to himself
				rate = (s + u * others) / n
				if (rate > d) rate = d
				for (i in left) if ((left[i] -= rate * dt) <= 0) { sum += t - at[i]; done++; delete left[i] }
			}
			printf "%.3f", sum / NR }'
}

# crowd_shares BYTES PACKETS BYTES PACKETS of the first holder's link before and
# after, and of all: what was sent, and what of it was in vain.
crowd_shares() {
	local fetched=$((bytes * crowd[peers])) spread
	result[copies]=$(calc "($3 - $1 - 66 * ($4 - $2)) / $bytes")
	result[duplicates]=$(cat "$home"/p*.get | tr ',' '\n' | awk -F: -v all=$fetched \
		'/"duplicate_bytes"/ { s += $2 } END { printf "%.6g", 100 * s / all }')
	result[control]=$(calc "100 * (($7 - $5 - 66 * ($8 - $6)) / $fetched - 1) - ${result[duplicates]}")
	spread=$(cat "$home/spread.out")
	result[spread]=$(calc "${spread:-0} / $bytes")
	result[told]=
	[ ! -S "$home/h1/api.sock" ] || result[told]=$(timeout 5 "$shoal" --dir "$home/h1" status --json | tr ',' '\n' |
		awk -F: -v one="$bytes" '/"sent_bytes"/ { s += $2 } END { printf "%.6g", s / one }')
}

# crowd_riders T0: wait for the free-riders until thrice the peers' time has
# passed since T0.
crowd_riders() {
	local host until now
	until=$(calc "($1 - int($1)) + 3 * ${result[last]}")
	for host in "${riders[@]}"; do
		while [ ! -s "$home/$host.end" ] && now=$(calc "$EPOCHREALTIME - int($1)") && [ "$(calc "$now < $until")" = 1 ]; do
			sleep 0.2
		done
		if [ -s "$home/$host.end" ]; then
			crowd_end "$host" riders || return
		else
			result[riders]+=" $(calc "$now - ($1 - int($1))")"
		fi
	done
}

# crowd_disk: where homes should stand: in memory when there is room, for the lab
# measures links and processors, not a disk.
crowd_disk() {
	if [ -w /dev/shm ] && (($(df --output=avail -m /dev/shm | tail -n 1) > 6000)); then
		echo /dev/shm
	else
		echo "${TMPDIR:-/tmp}"
	fi
}

# crowd_build: what a crowd needs, from this source; shoal unless there is one.
crowd_build() {
	labwatch=$tmp/labwatch freerider=$tmp/freerider
	go build -o "$tmp/" ./internal/labwatch ./internal/freerider || return
	[ -z "$shoal" ] || return 0
	shoal=$tmp/shoal
	say building && build_shoal "$shoal"
}
