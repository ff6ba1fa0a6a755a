# The table of crowds of bench.sh; sourced, not run. See scripts/crowd.sh for what
# a run is, scripts/lines.sh for what a line is. A scenario is named PEERS x SIZE at
# HOLDER/UP/DOWN in Mbit/s. An ok with "cpu" behind it was measured on a machine
# with more than 90% of its processors at work: it is that which was measured.
. scripts/crowd.sh
. scripts/chart.sh

lines=(sixteen thirtytwo large four small holders growth arrivals riders trusted churn simulation)
: "${runs:=1}" "${work:=$(crowd_disk)}"

prepare() {
	why="namespaces need root, ip and tc"
	[ "$(id -u)" = 0 ] && want ip iproute2 && want tc iproute2 || skip_all "$why"
	crowd_build || why="it does not build"
}

# skip_all REASON: there is nothing that can be measured here.
skip_all() {
	say "skipped: $1"
	exit 0
}

# scenario NAME=VALUE...: what the next runs are; small in a smoke test.
scenario() {
	crowd_set "$@"
	$smoke || return 0
	crowd_least size 4
	crowd_least peers 3
	crowd_least riders 1
	crowd_least leave 1
	crowd_least over 2
}

# crowd_least NAME N: a parameter, N at most.
crowd_least() { ((crowd[$1] <= $2)) || crowd[$1]=$2; }

# measure SYSTEM...: run the crowd by each in turn; what every run gave is left in
# got[SYSTEM.KEY], and the busiest the machine was is left in busiest.
declare -A got=()
measure() {
	local system key
	for ((crowd[seed] = 1; crowd[seed] <= runs; crowd[seed]++)); do
		for system in "$@"; do
			crowd_run "$system" || return
			for key in "${!result[@]}"; do
				got[$system.$key]+=" ${result[$key]}"
			done
			[ "$(calc "${result[busy]} > $busiest")" = 0 ] || busiest=${result[busy]}
			say "$(printf '%s %s: last %.2f, median %.2f, bound %.2f s, copies %.2f, spread %.2f, got twice %.2f%%, control %.2f%%, cpu %.1f s, machine %.0f%%' \
				"$label" "$system" "${result[last]}" "${result[median]}" "${result[bound]}" "${result[copies]}" "${result[spread]}" \
				"${result[duplicates]}" "${result[control]}" "${result[cpu]}" "${result[busy]}")${result[riders]:+, riders${result[riders]}}"
		done
	done
}

# begin [WORDS]: rows from here on are about the scenario that was named last, and
# say so with WORDS.
begin() {
	label="${crowd[peers]} x ${crowd[size]} MiB${1:+ $1}" got=() busiest=0
}

# line WORDS UNIT OURS OTHERS [TARGET [STRETCH]]: a row of the scenario.
line() {
	local words=$1
	shift
	row "$label: $words" "$@"
	[ -z "${oks[-1]}" ] || [ "$(calc "$busiest > 90")" = 0 ] || oks[-1]+=$(printf ', cpu %.0f%%' "$busiest")
}

# each EXPRESSION NUMBER...: EXPRESSION of every number x.
each() {
	local x=$1 n
	shift
	for n in "$@"; do
		calc "${x//x/$n}"
		echo
	done
}

# others: libtorrent beside shoal where it is here.
others() {
	want_libtorrent && echo torrent && return
	say "libtorrent is not here (Debian: python3-libtorrent)"
}

# against_bound TARGET STRETCH: the last peer against the bound and libtorrent's.
against_bound() {
	line "last peer less headers, bound" s "$(each "x / $headers" ${got[shoal.last]})" "${got[shoal.bound]}" "$@"
	[ -z "${got[torrent.last]:-}" ] || line "last peer, libtorrent's" s "${got[shoal.last]}" "${got[torrent.last]}"
}

line_sixteen() {
	scenario peers=16 size=64
	begin "at 50/25/100"
	measure shoal $(others) || return
	against_bound 1.12 1.08
	[ -z "${got[torrent.cpu]:-}" ] || line "time of a core, libtorrent's" s "${got[shoal.cpu]}" "${got[torrent.cpu]}" 1.5
	line "copies the holder sent until all was spread, one" x "${got[shoal.spread]}" 1 1.15
	line "got twice, content" % "${got[shoal.duplicates]}" 100 0.01
	line "control traffic, content" % "${got[shoal.control]}" 100 0.005
}

line_thirtytwo() {
	scenario peers=32 size=64
	begin "at 50/25/100"
	measure shoal $(others) || return
	against_bound 1.15
}

line_large() {
	scenario peers=16 size=128 up_holder=100 up=50 down=200
	begin "at 100/50/200"
	measure shoal $(others) || return
	against_bound 1.12 1.08
}

line_four() {
	scenario peers=4 size=16 up_holder=100 up=50 down=200
	begin "at 100/50/200"
	measure shoal $(others) || return
	against_bound 1.25
}

# line_small: the same in pieces as small as libtorrent's.
line_small() {
	local pieces="in pieces of 256 KiB"
	scenario peers=16 size=64 profile=unixfs-v0-2015
	begin "at 50/25/100 $pieces"
	measure shoal || return
	against_bound 1.12 1.08
	line "got twice, content" % "${got[shoal.duplicates]}" 100 0.01
	line "control traffic, content" % "${got[shoal.control]}" 100 0.005
	scenario peers=4 size=16 up_holder=100 up=50 down=200 profile=unixfs-v0-2015
	begin "at 100/50/200 $pieces"
	measure shoal || return
	against_bound 1.25
	crowd_leaves "$pieces" profile=unixfs-v0-2015
}

line_holders() {
	local one
	scenario peers=1 size=64 up_holder=25 down=200
	begin "from holders of 25 Mbit/s"
	measure shoal || return
	one=${got[shoal.last]} got=()
	scenario peers=1 size=64 up_holder=25 down=200 holders=4
	measure shoal || return
	line "from 4, from one" s "${got[shoal.last]}" "$one" 0.27
}

# line_growth: the more, the better.
line_growth() {
	local n system sizes=(1 2 4 8 16 32) worst=0 a b who=(shoal $(others))
	local -A at=()
	$smoke && sizes=(1 2)
	want curl curl ca-certificates && want nginx nginx && who+=(curl)
	for n in "${sizes[@]}"; do
		((n <= 4)) || who=(${who[@]/curl/}) # its time doubles each time
		scenario peers=$n size=32 up_holder=20 up=20 down=20
		begin "at 20/20/20"
		measure "${who[@]}" || return
		for system in "${who[@]}"; do
			at[$system.$n]=$(median ${got[$system.last]})
		done
	done
	label="N x ${crowd[size]} MiB at 20/20/20"
	for n in "${sizes[@]:1}"; do
		a=${at[shoal.$((n / 2))]} b=${at[shoal.$n]}
		[ "$(calc "$b / $a > $worst")" = 0 ] || worst=$(calc "$b / $a")
		case $n in
		8) line "last of 8, of one" s "$b" "${at[shoal.1]}" 1.15 ;;
		32) line "last of 32, of one" s "$b" "${at[shoal.1]}" 1.2 ;;
		esac
		[ -z "${at[torrent.$n]:-}" ] || ((n != 8 && n != 32)) || line "last of $n, libtorrent's" s "$b" "${at[torrent.$n]}"
	done
	line "time of 2 N over that of N, the worst doubling" x "$worst" 1 1.99
	[ -z "$chart" ] || chart_growth "$chart"
}

# line_arrivals: what a crowd loses when everyone ends as soon as it is done. Where a
# peer gets more than it can give that is much, however well it is done: it takes its
# line away. Among equals it need be nothing.
line_arrivals() {
	arrivals 64 50 25 100
	arrivals 32 20 20 20
}

# arrivals MIB HOLDER UP DOWN: one crowd that stays and one that does not.
arrivals() {
	local stays allowed
	scenario peers=16 size=$1 up_holder=$2 up=$3 down=$4 over=60
	begin "at $2/$3/$4 within 60 s, that stay"
	measure shoal || return
	stays=${got[shoal.done]} allowed=${got[shoal.allowed]}
	scenario peers=16 size=$1 up_holder=$2 up=$3 down=$4 over=60 stay=no
	begin "at $2/$3/$4 within 60 s"
	measure shoal || return
	line "mean get that ends, that stays" s "$(mean ${got[shoal.done]})" "$(mean $stays)" 1.25
	line "the same, as the links allow" s "$(mean ${got[shoal.allowed]})" "$(mean $allowed)"
	line "slowest get that ends, that stays" s "$(most ${got[shoal.done]})" "$(most $stays)" 1.25
}

mean() { printf '%s\n' "$@" | awk '{ s += $1 } END { print s / NR }'; }
most() { printf '%s\n' "$@" | sort -n | tail -n 1; }

# line_riders: gets that end when they are done, four in twenty of them give nothing.
line_riders() {
	local without kind kinds=(passive dialler turncoat sybil liar silent)
	$smoke && kinds=(passive liar)
	scenario peers=16 size=64 stay=no
	begin "without free-riders"
	measure shoal || return
	without=${got[shoal.median]}
	for kind in "${kinds[@]}"; do
		scenario peers=16 size=64 stay=no riders=4 rider=$kind
		begin "and ${crowd[riders]} free-riders ($kind)"
		measure shoal || return
		line "median contributor, without them" s "${got[shoal.median]}" "$without" 1.08
		if [ $kind = passive ]; then
			line "median contributor, free-rider" s "${got[shoal.median]}" "${got[shoal.riders]}" 0.5 0.33
		else
			line "median contributor, free-rider" s "${got[shoal.median]}" "${got[shoal.riders]}" 0.667
		fi
	done
}

# line_trusted: members of a private swarm are served for speed.
line_trusted() {
	local open
	scenario peers=16 size=64
	begin "in the open swarm"
	measure shoal || return
	open=${got[shoal.last]}
	scenario peers=16 size=64 swarm=private
	begin "in a private swarm"
	measure shoal || return
	line "last peer, in the open one" s "${got[shoal.last]}" "$open" 1.02
}

line_churn() { crowd_leaves ""; }

# crowd_leaves WORDS NAME=VALUE...: half of the crowd leaves, and its holder.
crowd_leaves() {
	local stay words=$1
	shift
	scenario peers=16 size=64 leave=8 give=1.1 "$@"
	begin "of whom ${crowd[leave]} leave, ${words:-the holder at 1.1 copies}"
	measure shoal || return
	stay=$((crowd[peers] - crowd[leave]))
	line "not done, who stays" "" "${got[shoal.lost]}" "$stay" 0
}

# line_simulation: crowds larger than a lab holds, by the same decisions in virtual
# time. A piece is one block, round trips are of 40 ms, a peer has some 30 others.
line_simulation() {
	if $smoke; then
		simulate 50 16 2 2
		return
	fi
	simulate 1000 1024 1.06 1.2 || return
	row "$label: time it takes, a minute" s "$took" 60 1
	simulate 10000 128 1.1 1.3
}

# simulate PEERS PIECES MEDIAN P99: a crowd against the bound for whole pieces
# (Mundinger, Weber and Weiss); took is how long the run took.
simulate() {
	local bound middle most
	label="simulation, $1 x $2 MiB at 50/25/100"
	if [ ! -x "$tmp/swarmsim" ]; then
		quietly go build -o "$tmp/swarmsim" ./internal/sim/swarmsim || return
	fi
	quietly "$tmp/swarmsim" -n "$1" -pieces "$2" -view 30 -block 1048576 -tick 50ms -rtt 40ms -seeds 1 -cores "$(nproc)" || return
	read -r bound middle most took < <(awk 'END { sub("s$", "", $NF); print $3, $4, $5, $NF }' "$tmp/stdout")
	row "$label: median peer, bound" s "$middle" "$bound" "$3"
	row "$label: 99 of 100 peers, bound" s "$most" "$bound" "$4"
}
