#!/usr/bin/env bash
# netlab.sh puts nodes into network namespaces of this machine and measures what
# loopback cannot show. It needs root, ip and tc, makes its namespaces and removes
# them; nothing leaves the machine.
#
#   scripts/netlab.sh LAB [FLAG...]
#
# A lab is a script netlab-LAB.sh of this folder; each has its own --help:
#   crowd    one holder, many downloaders at once, links with rates
#   limits   what --upload and --download let through
#   nat      hosts behind NATs of every kind, a relay, the ways between them
#   office   a holder far away, desks on one LAN behind one address
#   origin   what an HTTP origin and a crowd cost each other
#   private  a private swarm, a stranger, one member that is revoked
set -uo pipefail
cd "$(dirname "$0")/.." || exit
. scripts/lib.sh

usage() { sed -n '/^#   scripts/,/^#   private/s/^# \{0,3\}//p' scripts/netlab.sh; }

lab=${1:-}
case $lab in
--help | -h) usage && exit ;;
'' | -*) usage >&2 && exit 2 ;;
esac
[[ $lab != */* ]] && [ -f "scripts/netlab-$lab.sh" ] || die "there is no lab $lab; see --help"
shift
exec "scripts/netlab-$lab.sh" "$@"
