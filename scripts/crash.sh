#!/usr/bin/env bash
# crash.sh kills processes of shoal by SIGKILL at random moments of add, get,
# cat, unshare and gc, on loopback, and looks at what each left: the store opens,
# every piece that it claims is right, roots that were complete are there, a file
# under its final name is whole, and a resume fetches little again. Then it lets
# every operation of the store fail in every way: the end of the process, power
# loss, a torn write, ENOSPC, EIO, EROFS. It prints a table and exits 1 when
# something is not so. These are TestKills of cmd/shoal, which kills 20 times
# whenever the tests run, and TestFaultPoints of store, then with a tenth of them.
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
if SHOAL_FAULTS=all go test ./store -run '^(TestFaultPoints|TestFailedSync|TestRealDisk)$' -count=1 -v >"$tmp/out" 2>&1; then
	awk '/ operations, .* ways to fail/ { n += $2 * $4 } END { printf "%d faults at exact points of the store: nothing wrong, nothing lost\n", n }' "$tmp/out"
else
	status=1
	grep -v '^=== ' "$tmp/out" >&2
fi
say "$((SECONDS - from)) s"
exit "$status"
