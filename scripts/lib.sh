# Shared by the scripts of this folder; sourced, not run.
# It needs bash 5 for EPOCHREALTIME and works from the root of the repository.

export LC_ALL=C

# say WORDS...: words for people go to stderr.
say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; }

# die WORDS...: say them and give up.
die() {
	say "$*"
	exit 1
}

# want COMMAND PACKAGE...: true when COMMAND is there, or can be installed from
# Debian packages because this is root on a machine with apt-get.
want() {
	local command=$1
	shift
	PATH=$PATH:/usr/sbin:/sbin
	command -v "$command" >/dev/null && return
	[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return
	say "installing $* for $command"
	{
		# RUNLEVEL=1 keeps a packaged server from being started by its installation.
		export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
		apt-get update && apt-get install -y --no-install-recommends "$@"
	} </dev/null >/dev/null 2>&1
	command -v "$command" >/dev/null
}

# build_shoal FILE: build the command as FILE.
build_shoal() { go build -o "$1" ./cmd/shoal; }

# What runs in the background is ended by its id, whatever way the script ends.
# A process leaves the list when it is waited for: its id may be another's then.
declare -A pids=()

# reap PID: wait for a process of ours; its status is returned.
reap() {
	unset "pids[$1]"
	wait "$1" 2>/dev/null
}

# stop PID...: end and wait; a process that does not end within 10 s is killed.
stop() {
	local pid i
	for pid in "$@"; do
		kill "$pid" 2>/dev/null
	done
	for pid in "$@"; do
		for ((i = 0; i < 100; i++)); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
		((i < 100)) || kill -9 "$pid" 2>/dev/null
		reap "$pid"
	done
	return 0
}

# stop_all: end everything that is still in the list.
stop_all() { stop "${!pids[@]}"; }

# median NUMBER...: the middle one, or the mean of the middle two.
median() {
	printf '%s\n' "$@" | sort -n | awk '
		{ v[NR] = $1 }
		END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# timed COMMAND...: run it, at most 10 minutes; its seconds are left in elapsed.
timed() {
	local from=$EPOCHREALTIME status
	timeout 600 "$@"
	status=$?
	elapsed=$(awk -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.4f", b - a }')
	return $status
}

# memory PID FIELD: a field of /proc/PID/status (VmRSS, VmHWM) in MB of a million bytes.
memory() {
	awk -v field="$2:" '$1 == field { printf "%.1f\n", $2 * 1024 / 1e6 }' "/proc/$1/status" 2>/dev/null
}

# Network namespaces that a script made are removed by drop_netns.
netns=()

# need_netns: give up where network namespaces cannot be made.
need_netns() {
	[ "$(id -u)" = 0 ] || die "network namespaces need root"
	want ip iproute2 && want tc iproute2 || die "this needs ip and tc (Debian: iproute2)"
}

# add_netns NAME: a network namespace of our own, its loopback up.
add_netns() {
	ip netns add "$1" 2>/dev/null || return
	netns+=("$1")
	ip -n "$1" link set lo up
}

# cable NAMESPACE INTERFACE IP: give an end of a cable its address and take it up.
cable() { ip -n "$1" addr add "$3/24" dev "$2" && ip -n "$1" link set "$2" up; }

# mac IP: the hardware address of a lab's host, made of its address.
mac() {
	local a
	IFS=. read -ra a <<<"$1"
	printf '02:00:%02x:%02x:%02x:%02x' "${a[@]}"
}

# neighbours NAMESPACE=IP...: tell hosts whose eth0 has the address mac IP each
# other's, for good. The kernel has one table of neighbours for all namespaces, of
# gc_thresh3 (1,024) entries: 33 hosts that know one another overflow it, and dials
# fail. What is permanent does not count.
neighbours() {
	local host known='' ip
	for host in "$@"; do
		ip=${host#*=}
		known+="neigh replace $ip lladdr $(mac "$ip") dev eth0 nud permanent"$'\n'
	done
	for host in "$@"; do
		ip -n "${host%%=*}" -batch - <<<"$known" || return
	done
}

# drop_netns: remove the namespaces, and with them what is in them.
drop_netns() {
	local ns
	for ns in "${netns[@]}"; do
		ip netns del "$ns"
	done
	netns=()
}

# start_node DIR [FLAG...]: start a quiet node on loopback with the home DIR and
# wait until it is ready. Its process is left in node_pid, its address in
# node_addr. The words of the array within come before the command.
within=()
start_node() {
	local dir=$1 i quiet=(--mdns off --portmap off)
	shift
	mkdir -p "$dir"
	rm -f "$dir.out" "$dir.err" # what an earlier node with this home said is not about this one
	# A node without an HTTP port has no flag to switch it off.
	[[ $(timeout 10 "$shoal" node --help 2>&1) == *--http* ]] && quiet+=(--http off)
	"${within[@]}" "$shoal" --dir "$dir" node --listen /ip4/127.0.0.1/tcp/0 "${quiet[@]}" "$@" \
		</dev/null >"$dir.out" 2>"$dir.err" &
	node_pid=$!
	pids[$node_pid]=1
	for ((i = 0; i < 600; i++)); do
		if grep -qs '^shoal: ready' "$dir.err"; then
			node_addr=$(sed -n 's/^shoal: listening on //p' "$dir.err" | head -n 1)
			[ -n "$node_addr" ] && return
			why="the node printed no address"
			return 1
		fi
		kill -0 "$node_pid" 2>/dev/null || break
		sleep 0.05
	done
	why="a node did not become ready: $(tail -n 1 "$dir.err")"
	return 1
}

# self_signed DIR: a throw-away certificate for 127.0.0.1, left in cert, its key beside it.
self_signed() {
	mkdir -p "$1"
	cert=$1/cert.pem
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
		-keyout "$1/key.pem" -out "$cert" -subj /CN=127.0.0.1 \
		-addext subjectAltName=IP:127.0.0.1 2>"$1/openssl.err" && return
	why="openssl made no certificate: $(tail -n 1 "$1/openssl.err")"
	return 1
}

# serve_https ROOT DIR: serve the files of ROOT with nginx over TLS 1.3 on
# loopback. Configuration, logs and a throw-away certificate stay in DIR. The
# address is left in https, the certificate in cert. Started once.
serve_https() {
	local root=$1 dir=$2 i try port pid
	[ -n "${https:-}" ] && return
	self_signed "$dir" || return
	for ((try = 0; try < 10; try++)); do
		port=$((20000 + RANDOM % 10000))
		nginx_conf "$root" "$dir" "$port" >"$dir/nginx.conf"
		nginx -p "$dir" -c "$dir/nginx.conf" -e "$dir/error.log" </dev/null >"$dir/nginx.err" 2>&1 &
		pid=$!
		pids[$pid]=1
		for ((i = 0; i < 100; i++)); do
			kill -0 "$pid" 2>/dev/null || break # the port was taken: try another
			if [ -s "$dir/nginx.pid" ] && curl -q -s --noproxy '*' --cacert "$cert" -o /dev/null "https://127.0.0.1:$port/"; then
				https=https://127.0.0.1:$port
				return
			fi
			sleep 0.05
		done
		stop "$pid"
	done
	why="nginx did not start: $(tail -n 1 "$dir/error.log")"
	return 1
}

# nginx_conf ROOT DIR PORT: print a configuration that touches nothing outside DIR.
nginx_conf() {
	[ "$(id -u)" != 0 ] || echo "user $(id -un) $(id -gn);"
	cat <<-END
		daemon off;
		pid $2/nginx.pid;
		worker_processes auto;
		events { worker_connections 256; }
		http {
			access_log off;
			sendfile on;
			tcp_nopush on;
			default_type application/octet-stream;
			client_body_temp_path $2/body;
			proxy_temp_path $2/proxy;
			fastcgi_temp_path $2/fastcgi;
			uwsgi_temp_path $2/uwsgi;
			scgi_temp_path $2/scgi;
			server {
				listen 127.0.0.1:$3 ssl;
				ssl_certificate $2/cert.pem;
				ssl_certificate_key $2/key.pem;
				ssl_protocols TLSv1.3;
				root $1;
			}
		}
	END
}
