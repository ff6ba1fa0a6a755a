# The systems that a crowd can run; sourced by crowd.sh. A function crowd_SYSTEM
# starts what stays in every host and lets a process of every peer wait at the gate.

# crowd_shoal: a node for every holder, with the content, and for every peer that
# stays; a get that waits for each peer.
crowd_shoal() {
	local host link quiet=(--mdns off --portmap off)
	crowd_hold && crowd_nodes || return
	for host in "${peers[@]}"; do
		crowd_get "$host" unlimited "$link"
	done
	for host in "${riders[@]}"; do
		"crowd_rider_${crowd[rider]}" "$host" || return
	done
}

# crowd_node HOST FLAG...: a node that listens on the host's address.
crowd_node() {
	local host=$1
	shift
	crowd_start "$host" "$shoal" --dir "$home/$host" node --listen "/ip4/$(crowd_ip "$host")/tcp/7461" "${quiet[@]}" "$@"
}

# crowd_hold: the holders' nodes; the link to what they hold is left in link.
crowd_hold() {
	local host flags=() cid
	[ "${crowd[swarm]}" = open ] || flags=(--create lab)
	for host in "${holders[@]}"; do
		crowd_node "$host" --upload unlimited "${flags[@]}"
	done
	link=
	for host in "${holders[@]}"; do
		crowd_await "$host" "shoal: ready" || return
		cid=$("$shoal" --dir "$home/$host" add -q --profile "${crowd[profile]}" "$content" 2>"$home/$host.say") || {
			why="add: $(tail -n 1 "$home/$host.say")"
			return 1
		}
		link+="&peer=$(sed -n 's/^shoal: listening on //p' "$home/$host.err" | head -n 1)"
	done
	link="shoal:$cid?${link#&}"
}

# crowd_nodes: the nodes of the peers that stay, in a private swarm all admitted.
crowd_nodes() {
	local host flags=() i
	[ "${crowd[stay]}" = yes ] || return 0
	if [ "${crowd[swarm]}" = private ]; then
		flags=(--join "$("$shoal" --dir "$home/h1" swarm invite --uses 100 2>/dev/null)")
	fi
	for host in "${peers[@]}"; do
		crowd_node "$host" --upload unlimited "${flags[@]}"
	done
	for host in "${peers[@]}"; do
		crowd_await "$host" "shoal: ready" || return
	done
	[ "${crowd[swarm]}" = private ] || return 0
	for ((i = 0; i < 100; i++)); do
		"$shoal" --dir "$home/h1" status --json | grep -q "\"members\":${crowd[peers]}" && return
		sleep 0.1
	done
	why="the holder does not have ${crowd[peers]} members: $("$shoal" --dir "$home/h1" swarm status 2>&1 | tail -n 3)"
	return 1
}

# crowd_get HOST UPLOAD LINK: a get that waits. Without a node in the host's home
# it runs its own.
crowd_get() {
	crowd_wait "$1" "$shoal" --dir "$home/$1" --json get "$3" -o "$home/$1.got" --timeout 30s \
		--listen "/ip4/$(crowd_ip "$1")/tcp/7461" "${quiet[@]}" --upload "$2"
}

# crowd_rider_KIND HOST: a free-rider that waits. The first is one that does what
# everybody does and gives nothing; the others connect to everyone at once, and
# change their identity, are eight peers on one address, say that they have half of
# the pieces or that they have none.
crowd_rider_passive() { crowd_get "$1" off "$link"; }
crowd_rider_dialler() { crowd_ride "$1"; }
crowd_rider_turncoat() { crowd_ride "$1" -rotate 4s; }
crowd_rider_sybil() { crowd_ride "$1" -ids 8; }
crowd_rider_liar() { crowd_ride "$1" -claim half; }
crowd_rider_silent() { crowd_ride "$1" -claim none; }

# crowd_ride HOST FLAG...: a client made to free-ride, told of everyone.
crowd_ride() {
	local host=$1 cid=${link#shoal:} told=() peer
	shift
	for peer in "${holders[@]}" "${peers[@]}"; do
		[ -s "$home/$peer.id" ] || "$shoal" --dir "$home/$peer" id >"$home/$peer.id" 2>/dev/null
		told+=("/ip4/$(crowd_ip "$peer")/tcp/7461/p2p/$(cat "$home/$peer.id")")
	done
	crowd_wait "$host" "$freerider" -listen "/ip4/$(crowd_ip "$host")/tcp/0" -o "$home/$host.got" "$@" "${cid%%\?*}" "${told[@]}"
}

# crowd_torrent: libtorrent, a process a host; peers are told of the holders and
# find each other by peer exchange.
crowd_torrent() {
	local host told=()
	/usr/bin/python3 scripts/crowd-torrent.py make "$content" "$home/torrent" 2>"$home/make.err" || {
		why="libtorrent: $(tail -n 1 "$home/make.err")"
		return 1
	}
	for host in "${holders[@]}"; do
		crowd_start "$host" /usr/bin/python3 scripts/crowd-torrent.py seed "$home/torrent" "$content" "$(crowd_ip "$host")"
		told+=("$(crowd_ip "$host")")
	done
	for host in "${peers[@]}"; do
		mkfifo "$home/$host.tell"
		crowd_start "$host" /usr/bin/python3 scripts/crowd-torrent.py get "$home/torrent" "$home/$host.got" \
			"$(crowd_ip "$host")" "$home/gate" "$home/$host.tell" "${told[@]}"
	done
	for host in "${holders[@]}" "${peers[@]}"; do
		crowd_await "$host" ready || return
	done
	for host in "${peers[@]}"; do # the process stays, so that it tells its end is waited for
		timeout "$limit" cat "$home/$host.tell" >"$home/$host.end" &
		pids[$!]=1
		waiting[$host]=$!
	done
}

# crowd_curl: every peer fetches the whole from a server at the first holder.
crowd_curl() {
	local host
	mkdir "$home/nginx"
	cat >"$home/nginx/conf" <<-END
		daemon off;
		pid $home/nginx/pid;
		user root;
		error_log stderr;
		events { worker_connections 256; }
		http {
			access_log off;
			sendfile on;
			client_body_temp_path $home/nginx/body;
			proxy_temp_path $home/nginx/proxy;
			fastcgi_temp_path $home/nginx/fastcgi;
			uwsgi_temp_path $home/nginx/uwsgi;
			scgi_temp_path $home/nginx/scgi;
			server { listen $(crowd_ip h1):7480; root $tmp; }
		}
	END
	crowd_start h1 nginx -p "$home/nginx" -c "$home/nginx/conf"
	for host in "${peers[@]}"; do
		crowd_wait "$host" curl -q -sS -f --noproxy '*' --retry 5 --retry-connrefused -o "$home/$host.got" "http://$(crowd_ip h1):7480/${content##*/}"
	done
}

# want_libtorrent: true when Debian's libtorrent is here or can be installed.
want_libtorrent() {
	/usr/bin/python3 -c 'import libtorrent' 2>/dev/null && return
	want python3-libtorrent python3-libtorrent
	/usr/bin/python3 -c 'import libtorrent' 2>/dev/null
}
