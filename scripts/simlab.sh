#!/usr/bin/env bash
# simlab.sh holds the simulator against real binaries in network namespaces.
#
#   scripts/simlab.sh [--only NAME] [--shoal FILE]
#
#   --only NAME     of the crowds below, only this
#   --shoal FILE    use this binary instead of building one
#
# A line a crowd: seconds to the median and to the last peer in the lab (one run)
# and in the simulator (mean of five seeds, with what headers cost), both from when
# the processes are started and connected, and lab / simulator. What starting takes
# is what the same crowd needs more in the lab than in the simulator for 1 MiB.
# Needs root, like netlab.sh; nothing else should run.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

headers=1.0456 only='' lab=()
while (($#)); do
	case $1 in
	--only | --shoal)
		(($# > 1)) || die "$1 needs a value"
		if [ "$1" = --only ]; then only=$2; else lab=(--shoal "$2"); fi
		shift
		;;
	--help | -h)
		sed -n '/^#   scripts/,/^# Needs/s/^# \{0,3\}//p' scripts/simlab.sh
		exit
		;;
	*) die "unknown argument $1; see --help" ;;
	esac
	shift
done

tmp=$(mktemp -d) || exit
trap 'rm -rf "$tmp"' EXIT
go build -o "$tmp/swarmsim" ./internal/sim/swarmsim

# in_lab N MIB US UP DOWN: median and last.
in_lab() {
	scripts/netlab.sh crowd "${lab[@]}" --peers "$1" --size "$2" --up-holder "$3" --up "$4" --down "$5" |
		awk '$1 == "shoal" { print $3, $2, $NF }'
}

# in_sim N MIB US UP DOWN: the same.
in_sim() {
	"$tmp/swarmsim" -n "$1" -pieces "$2" -us "$3" -up "$4" -down "$5" -overhead "$headers" |
		awk 'NR > 1 { m += $4; l += $6; n++ } END { print m / n, l / n }'
}

printf '%-8s %6s | %8s %8s %6s | %8s %8s | %7s %7s\n' crowd start lab last busy% sim last median last
while read -r name n mib us up down; do
	[[ $name == "${only:-$name}" ]] || continue
	start=$(echo "$(in_lab "$n" 1 "$us" "$up" "$down") $(in_sim "$n" 1 "$us" "$up" "$down")" | awk '{ print $2 - $5 }')
	echo "$name $start $(in_lab "$n" "$mib" "$us" "$up" "$down") $(in_sim "$n" "$mib" "$us" "$up" "$down")" | awk '{
		printf "%-8s %6.2f | %8.2f %8.2f %6s | %8.2f %8.2f | %7.3f %7.3f\n", $1, $2, $3 - $2, $4 - $2, $5, $6, $7, ($3 - $2) / $6, ($4 - $2) / $7 }'
done <<-END
	sixteen 16 64 50 25 100
	four 4 16 100 50 200
	eight 8 32 20 20 20
END
