#!/usr/bin/env bash
# crash.sh kills processes of shoal by SIGKILL at random moments of add, get,
# cat, unshare and gc, on loopback, and looks at what each left: the store opens,
# every piece that it claims is right, roots that were complete are there, a file
# under its final name is whole, and a resume fetches little again. It prints a
# table and exits 1 when that is not so. It is TestKills of cmd/shoal, which
# kills 20 times whenever the tests run.
#
#   scripts/crash.sh [N]
#
#   N   kills, 1000
set -uo pipefail
cd "$(dirname "$0")/.." || exit
. scripts/lib.sh

kills=${1:-1000}
[[ $kills =~ ^[1-9][0-9]*$ ]] || die "how many kills? There is '$kills'"

tmp=$(mktemp -d) || exit
trap 'rm -rf "$tmp"' EXIT
from=$SECONDS
SHOAL_KILLS=$kills SHOAL_KILLS_TABLE=$tmp/table \
	go test ./cmd/shoal -run '^TestKills$' -count=1 -timeout 2h >"$tmp/out" 2>&1
status=$?
cat "$tmp/table" 2>/dev/null
((status == 0)) || cat "$tmp/out" >&2
say "$((SECONDS - from)) s"
exit "$status"
