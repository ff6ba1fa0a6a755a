#!/usr/bin/env bash
# netlab-crowd.sh is the lab of crowds: holders with one content and peers that
# fetch it all at once, each a host of its own behind a link with rates.
#
#   scripts/netlab.sh crowd [--peers N] [--size MIB] [--up-holder R] [--up R] [--down R]
#                           [--set NAME=VALUE]... [--torrent] [--no-shoal] [--runs N]
#                           [--keep DIR] [--shoal FILE]
#
#   --peers N       who fetch; 16
#   --size MIB      of the content; 64
#   --up-holder R   Mbit/s the holder may send; 50
#   --up R          Mbit/s a peer may send; 25
#   --down R        Mbit/s a peer may receive; 100
#   --set NAME=V    another parameter; they are listed in scripts/crowd.sh
#   --torrent       the same by libtorrent (Debian: python3-libtorrent)
#   --no-shoal      without shoal
#   --runs N        of each; 1
#   --keep DIR      keep there what everybody said, and the status of every node
#   --shoal FILE    use this binary instead of building one
#
# A line a run: seconds to the last peer and to the median one, the bound, last /
# bound and the same without headers; copies that the first holder sent, and until
# every byte stood at some peer; duplicates and control traffic in percent; seconds
# of a core; how busy the machine was: above 90% it is that which was measured.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
. scripts/lib.sh
. scripts/crowd.sh

shoal='' runs=1 keep='' systems=(shoal) settings=()
while (($#)); do
	case $1 in
	--torrent) systems+=(torrent) ;;
	--no-shoal) systems=("${systems[@]:1}") ;;
	--help | -h)
		sed -n '/^#   scripts/,/^# of a core/s/^# \{0,3\}//p' scripts/netlab-crowd.sh
		exit
		;;
	--peers | --size | --up-holder | --up | --down | --set | --shoal | --runs | --keep)
		(($# > 1)) || die "$1 needs a value"
		name=${1#--}
		case $name in
		set) settings+=("$2") ;;
		shoal | runs | keep) printf -v "$name" %s "$2" ;;
		*) settings+=("${name//-/_}=$2") ;;
		esac
		shift
		;;
	*) die "unknown argument $1; see --help" ;;
	esac
	shift
done
for setting in "${settings[@]}"; do
	[[ $setting == *=* && -n ${crowd[${setting%%=*}]:-} ]] || die "there is no parameter $setting; see scripts/crowd.sh"
done
crowd_set "${settings[@]}"
need_netns
[[ " ${systems[*]} " != *" torrent "* ]] || want_libtorrent || die "libtorrent is not here (Debian: python3-libtorrent)"

tmp=$(mktemp -d -p "$(crowd_disk)") || exit
trap 'stop_all; drop_netns; rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
crowd_build || die "it does not build"

failed=0
printf '%-8s %7s %7s %7s %6s %6s %7s %7s %6s %8s %6s %5s\n' system last median bound ratio corr. copies spread dup% control% cpu_s busy%
for ((run = 0; run < runs; run++)); do
	for system in "${systems[@]}"; do
		if ! crowd_run "$system"; then
			say "$system: $why"
			failed=1
			continue
		fi
		printf '%-8s %7.2f %7.2f %7.2f %6.3f %6.3f %7.2f %7.2f %6.2f %8.2f %6.1f %5.0f\n' "$system" "${result[last]}" "${result[median]}" \
			"${result[bound]}" "${result[ratio]}" "${result[corrected]}" "${result[copies]}" "${result[spread]}" \
			"${result[duplicates]}" "${result[control]}" "${result[cpu]}" "${result[busy]}"
		[ -z "${result[riders]:-}" ] || say "free-riders:${result[riders]}"
	done
done
exit $failed
