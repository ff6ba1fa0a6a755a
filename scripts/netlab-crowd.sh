#!/usr/bin/env bash
# netlab-crowd.sh is the lab of crowds: holders with one content and peers that
# fetch it all at once, each a host of its own behind a link with rates.
#
#   scripts/netlab.sh crowd [--peers N] [--size MIB] [--holders N] [--up-holder R]
#                           [--up R] [--down R] [--path wan|lan] [--runs N]
#                           [--torrent] [--no-shoal] [--shoal FILE]
#
#   --peers N      who fetch; 16
#   --size MIB     of the content; 64
#   --holders N    who have it; 1
#   --up-holder R  Mbit/s a holder may send; 50
#   --up, --down R Mbit/s a peer may send and receive; 25, 100
#   --path P       wan: each host alone in its subnet, the default; lan: all in one
#   --runs N       of each; 1
#   --torrent      the same by libtorrent (Debian: python3-libtorrent)
#   --no-shoal     without shoal
#   --shoal FILE   use this binary instead of building one
#
# A line a run: seconds from the release to the last peer and to the median one,
# the bound, last / bound and the same without headers, copies that the first
# holder sent, duplicates and control traffic in percent, seconds of a core, and
# how busy the machine was; above 90% the processor was measured, not the crowd.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
. scripts/lib.sh
. scripts/crowd.sh

shoal= runs=1 systems=(shoal)
while (($#)); do
	case $1 in
	--peers | --size | --holders | --up-holder | --up | --down | --path)
		(($# > 1)) || die "$1 needs a value"
		name=${1#--}
		crowd[${name//-/_}]=$2
		shift
		;;
	--shoal | --runs)
		(($# > 1)) || die "$1 needs a value"
		printf -v "${1#--}" %s "$2"
		shift
		;;
	--torrent) systems+=(torrent) ;;
	--no-shoal) systems=("${systems[@]:1}") ;;
	--help | -h)
		sed -n '/^#   scripts/,/^# how busy/s/^# \{0,3\}//p' scripts/netlab-crowd.sh
		exit
		;;
	*) die "unknown argument $1; see --help" ;;
	esac
	shift
done
need_netns
[[ " ${systems[*]} " != *" torrent "* ]] || want_libtorrent || die "libtorrent is not here (Debian: python3-libtorrent)"

tmp=$(mktemp -d -p "$(crowd_disk)") || exit
trap 'stop_all; drop_netns; rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
[ -n "$shoal" ] || { shoal=$tmp/shoal && say building && build_shoal "$shoal"; } || die "it does not build"

failed=0
printf '%-8s %7s %7s %7s %6s %6s %7s %6s %8s %6s %5s\n' system last median bound ratio corr. copies dup% control% cpu_s busy%
for ((run = 0; run < runs; run++)); do
	for system in "${systems[@]}"; do
		if ! crowd_run "$system"; then
			say "$system: $why"
			failed=1
			continue
		fi
		printf '%-8s %7.2f %7.2f %7.2f %6.3f %6.3f %7.2f %6.2f %8.2f %6.1f %5.0f\n' "$system" "${result[last]}" "${result[median]}" \
			"${result[bound]}" "${result[ratio]}" "${result[corrected]}" "${result[copies]}" "${result[duplicates]}" \
			"${result[control]}" "${result[cpu]}" "${result[busy]}"
	done
done
exit $failed
