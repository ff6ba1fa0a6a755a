# The lines of bench.sh's first table; sourced, not run. A line is a function
# line_NAME: it calls `row` once or more, or returns 1 with the reason in why, or
# calls `skip`. bench.sh sets size, runs, shoal, tmp.

lines=(get add origin serve idle first tree large peers mdns)
for file in scripts/bench-*.sh; do
	name=${file#scripts/bench-} name=${name%.sh}
	grep -qs "^line_$name()" "$file" || continue
	. "$file"
	lines+=("$name")
done

# prepare: the file that most lines are about, left in file, its CID in cid.
prepare() {
	say "a file of $size MiB"
	mkdir "$tmp/www"
	file=$tmp/www/file.bin
	head -c $((size << 20)) /dev/urandom >"$file"
	quietly "$shoal" --dir "$tmp/hash" add -q --only-hash "$file" || return
	cid=$(cat "$tmp/stdout")
}

# https_tools NAME: true when nginx, curl and openssl are there; else the line is skipped.
https_tools() {
	want nginx nginx && want curl curl ca-certificates && want openssl openssl && return
	skip "$1" "it needs nginx, curl and openssl; install them or run as root"
	return 1
}

# calm: nothing of the run before is left to be written while the next is timed.
# A tree is moved away, not removed: for minutes ext4 without a journal looks at
# every inode that was removed before it makes a new one, which costs seconds.
calm() {
	rm -rf "$tmp/client"
	if [ -d "$tmp/got" ]; then
		mv "$tmp/got" "$tmp/before.$((++trees))"
	fi
	rm -f "$tmp/got"
	sync
}
trees=0

# same: what was fetched is the file.
same() {
	cmp -s "$tmp/got" "$file" && return
	why="$1 fetched something else"
	return 1
}

run_curl() {
	calm
	quietly timed curl -q -sS -f --noproxy '*' --cacert "$cert" -o "$tmp/got" "$https/file.bin" && same curl
}

# run_get FLAG...: fetch with shoal from a fresh home.
run_get() {
	calm
	SSL_CERT_FILE=${cert:-} quietly timed "$shoal" --dir "$tmp/client" get "$cid" -o "$tmp/got" \
		--listen /ip4/127.0.0.1/tcp/0 --mdns off --portmap off "$@" && "$check" shoal
}
check=same

# start_seed: a node that holds the file and may upload as fast as it can.
start_seed() {
	rm -rf "$tmp/seed"
	quietly "$shoal" --dir "$tmp/seed" add "$file" && start_node "$tmp/seed" --upload unlimited
}

line_get() {
	local name="get over loopback, curl over HTTPS" a=() b=() i
	https_tools "$name" || return 0
	serve_https "$tmp/www" "$tmp/nginx" && start_seed || return
	for ((i = 0; i < runs; i++)); do
		run_get --peer "$node_addr" || return
		a+=("$elapsed")
		run_curl || return
		b+=("$elapsed")
	done
	stop "$node_pid"
	row "$name" s "${a[*]}" "${b[*]}" 1.6 1.2
}

line_add() {
	local a=() b=() i
	for ((i = 0; i < runs; i++)); do
		calm
		quietly timed "$shoal" --dir "$tmp/client" add "$file" || return
		a+=("$elapsed")
		quietly timed sha256sum "$file" || return
		b+=("$elapsed")
	done
	row "add, sha256sum" s "${a[*]}" "${b[*]}" 0.8 0.6
}

line_origin() {
	local name="get --origin without peers, curl" a=() b=() i
	https_tools "$name" || return 0
	serve_https "$tmp/www" "$tmp/nginx" || return
	quietly "$shoal" --dir "$tmp/tree" add --tree "$tmp/www/file.bin.shoal" "$file" || return
	for ((i = 0; i < runs; i++)); do
		run_get --origin "$https/file.bin" || return
		a+=("$elapsed")
		run_curl || return
		b+=("$elapsed")
	done
	row "$name" s "${a[*]}" "${b[*]}" 1.1
}

# need_swarm: the swarm is up; it is started once, and what failed then fails again.
need_swarm() {
	if [ -z "$swarm_state" ]; then
		swarm_state=up
		start_swarm || swarm_state=$why
	fi
	why=$swarm_state
	[ "$swarm_state" = up ]
}
swarm=() swarm_state= bootstrap=

# start_swarm: 20 nodes that know one of them, the last holding the file.
start_swarm() {
	local i
	quietly "$shoal" --dir "$tmp/swarm19" add "$file" || return
	for ((i = 0; i < 20; i++)); do
		start_node "$tmp/swarm$i" --upload unlimited ${bootstrap:+--bootstrap "$bootstrap"} || return
		bootstrap=${bootstrap:-$node_addr}
		swarm+=("$node_pid")
	done
}

# found_by_swarm: another node of the swarm finds the holder.
found_by_swarm() {
	local i
	for ((i = 0; i < 60; i++)); do
		quietly timeout 20 "$shoal" --dir "$tmp/swarm7" find "$cid" && [ -s "$tmp/stdout" ] && return
		sleep 1
	done
	why="none of 20 nodes found the holder within a minute: $(tail -n 1 "$tmp/stderr")"
	return 1
}

line_idle() {
	local pid a=()
	need_swarm || return
	sleep 5 # what starting needed is returned, or is not
	for pid in "${swarm[@]}"; do
		a+=("$(memory "$pid" VmRSS)")
	done
	row "memory of an idle node, worst of 20, limit" MB "$(printf '%s\n' "${a[@]}" | sort -n | tail -n 1)" 64 1
}

# first_bytes: what cat --range 0-1 printed is the beginning of the file.
first_bytes() {
	cmp -s "$tmp/stdout" <(head -c 2 "$file") && return
	why="cat --range 0-1 printed something else"
	return 1
}

line_first() {
	local a=() i
	need_swarm && found_by_swarm || return
	for ((i = 0; i < runs; i++)); do
		calm
		quietly timed "$shoal" --dir "$tmp/client" cat --range 0-1 "$cid" --bootstrap "$bootstrap" \
			--listen /ip4/127.0.0.1/tcp/0 --mdns off --portmap off || return
		a+=("$elapsed")
		first_bytes || return
	done
	row "first byte by a DHT of 20 and one bootstrap peer, limit" s "${a[*]}" 1 1
}

# run_get_watched: as run_get from node_addr; the peak memory of the client in MB is left in peak.
run_get_watched() {
	local pid now
	calm
	"$shoal" --dir "$tmp/client" get "$cid" -o "$tmp/got" --peer "$node_addr" \
		--listen /ip4/127.0.0.1/tcp/0 --mdns off --portmap off </dev/null >"$tmp/stdout" 2>"$tmp/stderr" &
	pid=$! peak=0
	pids[$pid]=1
	while now=$(memory "$pid" VmHWM) && [ -n "$now" ]; do # VmHWM only grows, so the last look is the peak
		peak=$now
		sleep 0.02
	done
	if ! reap "$pid"; then
		why="get failed: $(tail -n 1 "$tmp/stderr")"
		return 1
	fi
	"$check" shoal
}

line_serve() {
	local a=() i
	start_seed || return
	for ((i = 0; i < runs; i++)); do
		run_get_watched || return
		a+=("$peak")
	done
	row "peak memory of fetching, limit" MB "${a[*]}" 200 1
	row "peak memory of serving, limit" MB "$(memory "$node_pid" VmHWM)" 200 1
	stop "$node_pid"
}

# same_tree: what was fetched is Go's tree, names, bytes, links and executable
# bits, and works as Go.
same_tree() {
	local executable='find . -type f -perm -u+x | sort | sha256sum'
	why="$1 fetched another tree: $(diff -rq --no-dereference "$goroot" "$tmp/got" 2>&1 | head -n 1)"
	diff -rq --no-dereference "$goroot" "$tmp/got" >/dev/null 2>&1 || return
	why="$1 fetched other executable bits"
	[ "$(cd "$goroot" && eval "$executable")" = "$(cd "$tmp/got" && eval "$executable")" ] || return
	why="the go that $1 fetched does not run"
	[ "$(GOROOT='' GOTOOLCHAIN=local "$tmp/got/bin/go" version 2>&1)" = "$go_version" ]
}

# run_tar: Go's tree by tar through one TLS connection. It is socat's: openssl's
# s_server and s_client now and then wait for each other for ever.
run_tar() {
	local try port server tls=$tmp/tls
	for ((try = 0; try < 5; try++)); do
		port=$((20000 + RANDOM % 10000))
		calm
		mkdir "$tmp/got"
		socat -u -b 262144 STDIN \
			"OPENSSL-LISTEN:$port,bind=127.0.0.1,cert=$tls/cert.pem,key=$tls/key.pem,verify=0,openssl-min-proto-version=TLS1.3" \
			< <(exec tar -C "$goroot" -c . 2>/dev/null) >/dev/null 2>&1 &
		server=$!
		pids[$server]=1
		sleep 0.5 # it listens by then, or the port was taken
		# shellcheck disable=SC2016 # the inner shell expands them
		quietly timed bash -c 'set -o pipefail
			socat -u -b 262144 "OPENSSL:127.0.0.1:$1,cafile=$2,commonname=127.0.0.1" STDOUT </dev/null | tar -x -C "$3"' \
			_ "$port" "$tls/cert.pem" "$tmp/got" &&
			reap "$server" && same_tree tar && return
		stop "$server"
	done
	return 1
}

line_tree() {
	local name="get of the Go tree, tar through TLS" a=() b=() added=() i goroot go_version cid cert check=same_tree
	if ! goroot=$(cd / && go env GOROOT 2>/dev/null) || ! want openssl openssl || ! want socat socat; then
		skip "$name" "it needs Go, whose tree it is, openssl and socat"
		return
	fi
	go_version=$(GOROOT='' GOTOOLCHAIN=local "$goroot/bin/go" version)
	self_signed "$tmp/tls" || return
	for ((i = 0; i < runs; i++)); do
		calm
		rm -rf "$tmp/seed"
		quietly timed "$shoal" --dir "$tmp/seed" add -q --hidden --modes "$goroot" || return
		added+=("$elapsed")
	done
	cid=$(cat "$tmp/stdout")
	start_node "$tmp/seed" --upload unlimited || return
	for ((i = 0; i < runs; i++)); do
		run_get --peer "$node_addr" || return
		a+=("$elapsed")
		run_tar || return
		b+=("$elapsed")
	done
	stop "$node_pid"
	row "add of the Go tree, limit" s "${added[*]}" 2 1
	row "$name" s "${a[*]}" "${b[*]}" 2
}

# line_large: ten times --size. Once, for memory is all it is about.
line_large() {
	local mib=$((size * 10)) name file=$tmp/large.bin cid
	name="$mib MiB"
	((mib % 1024)) || name="$((mib / 1024)) GiB"
	if (($(df --output=avail -m "$tmp" | tail -n 1) < 2 * mib + 4096)); then
		skip "peak memory of fetching $name" "it needs $((2 * mib + 4096)) MiB of disk"
		return
	fi
	head -c $((mib << 20)) /dev/urandom >"$file"
	rm -rf "$tmp/seed"
	quietly "$shoal" --dir "$tmp/seed" add -q "$file" && cid=$(cat "$tmp/stdout") &&
		start_node "$tmp/seed" --upload unlimited && run_get_watched || return
	row "peak memory of fetching $name, limit" MB "$peak" 200 1
	row "peak memory of serving $name, limit" MB "$(memory "$node_pid" VmHWM)" 200 1
	stop "$node_pid"
	calm
	rm "$file"
}

# line_peers: an eighth of --size from peers that may upload 100 Mbit/s each. One,
# two and four are different peers: those that a get has met know each other.
line_peers() {
	local a=() b=() c=() bytes=() i cid file=$tmp/eighth.bin peers=() sharers=()
	head -c $(((size << 20) / 8)) /dev/urandom >"$file"
	for ((i = 0; i < 7; i++)); do
		rm -rf "$tmp/sharer$i"
		quietly "$shoal" --dir "$tmp/sharer$i" add -q "$file" && cid=$(cat "$tmp/stdout") &&
			start_node "$tmp/sharer$i" --upload 100Mbit/s || return
		sharers+=("$node_pid")
		peers+=(--peer "$node_addr")
	done
	for ((i = 0; i < runs; i++)); do
		run_get "${peers[@]:0:2}" || return
		a+=("$elapsed")
		run_get "${peers[@]:2:4}" || return
		b+=("$elapsed")
		run_get --json "${peers[@]:6:8}" || return
		c+=("$elapsed")
		bytes+=("$(sed 's/.*"duplicate_bytes":\([0-9]*\).*/\1/' "$tmp/stdout")")
	done
	stop "${sharers[@]}"
	row "get from 2 peers of 100 Mbit/s, from one" s "${b[*]}" "${a[*]}" 0.526
	row "get from 4 peers of 100 Mbit/s, from one" s "${c[*]}" "${a[*]}" 0.278
	row "bytes got twice from 4 peers, bytes" MB "$(median "${bytes[@]}" | awk '{ print $1 / 1e6 }')" "$(stat -c %s "$file" | awk '{ print $1 / 1e6 }')" 0.02
}

# line_mdns: two network namespaces with a cable between them. The sharer stands
# in one, and a home that is new each time looks for it in the other.
line_mdns() {
	local name="first byte by mDNS from a clean home, limit" a=() i ns=shoal-bench-$$
	if [ "$(id -u)" != 0 ] || ! want ip iproute2 || ! add_netns "$ns-a" || ! add_netns "$ns-b"; then
		skip "$name" "it needs root and network namespaces"
		return
	fi
	ip link add "veth-a" netns "$ns-a" type veth peer name "veth-b" netns "$ns-b" &&
		cable "$ns-a" veth-a 10.71.0.1 && cable "$ns-b" veth-b 10.71.0.2 || return
	rm -rf "$tmp/seed"
	quietly "$shoal" --dir "$tmp/seed" add "$file" || return
	local within=(ip netns exec "$ns-a")
	start_node "$tmp/seed" --mdns on --listen /ip4/10.71.0.1/tcp/0 || return
	for ((i = 0; i < runs; i++)); do
		calm
		quietly timed ip netns exec "$ns-b" "$shoal" --dir "$tmp/client" cat --range 0-1 "$cid" || return
		a+=("$elapsed")
		first_bytes || return
	done
	stop "$node_pid"
	row "$name" s "${a[*]}" 1 1
}
