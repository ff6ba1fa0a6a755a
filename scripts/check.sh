#!/usr/bin/env bash
# check.sh is everything that must hold before a change goes in, on a machine
# with Go and git alone; what else it wants it installs when it is root on
# Debian, or skips, saying so. The last line is "N passed, N failed", in steps.
#
#   scripts/check.sh
set -uo pipefail
cd "$(dirname "$0")/.." || exit
. scripts/lib.sh
exec </dev/null

passed=0 failed=0 summary=()

# step NAME COMMAND...: run it, show what it prints, and count it.
step() {
	local name=$1 from=$SECONDS verdict=ok
	shift
	printf '=== %s\n' "$name"
	if "$@" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1)) verdict=FAILED
	fi
	summary+=("$(printf '%-26s %4d s  %s' "$name" $((SECONDS - from)) "$verdict")")
}

# skip NAME REASON: a step that cannot be taken here.
skip() {
	printf '=== %s\nskipped: %s\n' "$1" "$2"
	summary+=("$(printf '%-26s         skipped: %s' "$1" "$2")")
}

formatted() {
	local files
	files=$(gofmt -l -s .) || return
	[ -z "$files" ] || {
		printf 'not formatted, run gofmt -s -w:\n%s\n' "$files"
		return 1
	}
}

# syntax: every script parses.
syntax() {
	local script
	for script in scripts/*.sh .ci/run; do
		bash -n "$script" || return
	done
}

# cross OS ARCH: the command builds for another machine, and everything there is
# passes vet for it, tests included.
cross() {
	local -x CGO_ENABLED=0 GOOS=$1 GOARCH=$2
	go build -o "$tmp/cross" ./cmd/shoal && go vet ./...
}

# sequential: what is tested without the race detector. Packages without
# goroutines of their own, where it costs minutes and can find nothing; the pure
# ones are those of internal/archtest, which keeps them so. The command, whose
# hundreds of processes start five times faster without it: what they run is
# tested with it in node. The store, for what -short leaves out: many crashes.
sequential() {
	go list ./cmd/shoal ./internal/archtest ./internal/sim/... ./store
	sed -n '/pure: /,/^\t},/s/^\t*{"\([^"]*\)".*/.\/\1/p' internal/archtest/laws.go | xargs go list
}

# concurrent: what is tested with it: all others, and the store.
concurrent() { go list ./... | grep -vxFf <(sequential | grep -v '/store$'); }

# c_compiler: true when a C program can be built, which the race detector needs.
c_compiler() {
	want gcc gcc libc6-dev || command -v cc >/dev/null || return
	echo '#include <stdlib.h>' | "$(command -v gcc || echo cc)" -xc -fsyntax-only - 2>/dev/null
}

tmp=$(mktemp -d) || exit
trap 'rm -rf "$tmp"' EXIT

race=
c_compiler && race=-race # before the first build: a compiler changes what Go builds

step "gofmt" formatted
step "bash -n" syntax
step "go mod tidy" go mod tidy -diff
step "go build" build_shoal "$tmp/shoal"
step "go vet" go vet ./...
step "staticcheck" go tool staticcheck ./...
export GORACE=atexit_sleep_ms=0 # each process would sleep for a second when it exits
if [ -n "$race" ]; then
	# Much memory is given back and faulted in again, four times what a test uses.
	GOGC=400 step "go test -race" go test -race -short -shuffle=on -timeout 8m $(concurrent | grep -v '/node$')
	# Alone: whole nodes in real time, beside nothing that takes their cores.
	GOGC=400 step "go test -race node" go test -race -short -shuffle=on -timeout 8m ./node
	step "go test" go test -shuffle=on -timeout 8m $(sequential)
else
	skip "race detector" "it needs a C compiler; the tests run without it"
	step "go test" go test -shuffle=on -timeout 8m ./...
fi
step "demo" scripts/demo.sh --small --shoal "$tmp/shoal"
step "bench" scripts/bench.sh --smoke --shoal "$tmp/shoal"
step "crowd" scripts/bench.sh crowd --smoke --only '^(sixteen|riders|simulation)$' --shoal "$tmp/shoal"
if [ "$(id -u)" = 0 ] && want ip iproute2 && want nft nftables && ip netns add "check$$" 2>/dev/null; then
	ip netns del "check$$"
	step "nat" scripts/netlab.sh nat --small --shoal "$tmp/shoal"
	if want nginx nginx && want curl curl; then
		step "origin" scripts/netlab.sh origin --smoke --shoal "$tmp/shoal"
	else
		skip "origin" "it needs nginx and curl"
	fi
else
	skip "nat" "it needs root, ip and nft (Debian: iproute2, nftables), and network namespaces"
fi
for target in windows/amd64 darwin/arm64 linux/arm64 linux/amd64 darwin/amd64 windows/arm64; do
	# Cold, each takes about a minute on two cores; CI must end within 15.
	if [ "$target" = "$(go env GOHOSTOS)/$(go env GOHOSTARCH)" ]; then
		continue
	elif [ -n "${CI:-}" ] && ((SECONDS > 600)); then
		skip "build, vet $target" "10 minutes have passed"
	else
		step "build, vet $target" cross "${target%/*}" "${target#*/}"
	fi
done

printf '\n'
printf '%s\n' "${summary[@]}"
printf '%d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
