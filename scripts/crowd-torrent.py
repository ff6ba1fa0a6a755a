"""One libtorrent peer of a crowd, for comparison; run by crowd.sh.

    crowd-torrent.py make FILE TORRENT
    crowd-torrent.py seed TORRENT FILE ADDRESS
    crowd-torrent.py get TORRENT FILE ADDRESS GATE TELL HOLDER...

seed and get print 'ready' on stderr and stay until they are ended. get waits
until GATE, a fifo, is opened for writing; when it has all it writes what it got
twice to FILE with .get for .got, and '0 START DONE' to TELL.
"""
import os
import sys
import time

import libtorrent as lt

PORT = 7471
PIECE = 256 << 10

# Nothing but the addresses that are given, over TCP; as many upload slots as
# libtorrent takes by itself.
SETTINGS = {
    "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
    "enable_outgoing_utp": False, "enable_incoming_utp": False,
    "allow_multiple_connections_per_ip": True,
    "connections_limit": 400, "connection_speed": 100, "torrent_connect_boost": 100,
    "aio_threads": 1, "hashing_threads": 1,
    "alert_mask": lt.alert.category_t.status_notification | lt.alert.category_t.error_notification,
}


def make(file, torrent):
    storage = lt.file_storage()
    lt.add_files(storage, file)
    creator = lt.create_torrent(storage, piece_size=PIECE, flags=lt.create_torrent.v1_only)
    lt.set_piece_hashes(creator, os.path.dirname(file))
    with open(torrent, "wb") as out:
        out.write(lt.bencode(creator.generate()))


def session(address):
    settings = dict(SETTINGS, listen_interfaces=f"{address}:{PORT}")
    return lt.session(settings)


def add(ses, torrent, file, flags):
    info = lt.torrent_info(torrent)
    info.rename_file(0, os.path.basename(file))
    params = lt.add_torrent_params()
    params.ti, params.save_path, params.flags = info, os.path.dirname(file), flags
    return ses.add_torrent(params)


def seed(torrent, file, address):
    ses = session(address)
    handle = add(ses, torrent, file, lt.torrent_flags.default_flags & ~lt.torrent_flags.auto_managed
                 & ~lt.torrent_flags.paused)
    while not handle.status().is_seeding:
        time.sleep(0.05)
    print("ready", file=sys.stderr, flush=True)
    while True:
        time.sleep(60)


def get(torrent, file, address, gate, tell, *holders):
    ses = session(address)
    print("ready", file=sys.stderr, flush=True)
    open(gate).close()
    began = time.time()
    handle = add(ses, torrent, file, lt.torrent_flags.default_flags & ~lt.torrent_flags.auto_managed
                 & ~lt.torrent_flags.paused)
    for holder in holders:
        handle.connect_peer((holder, PORT))
    done = None
    while done is None:
        ses.wait_for_alert(1000)
        for alert in ses.pop_alerts():
            if isinstance(alert, lt.torrent_finished_alert):
                done = time.time()
    handle.flush_cache()
    with open(file.removesuffix("got") + "get", "w") as out:
        print(f'{{"duplicate_bytes":{handle.status().total_redundant_bytes}}}', file=out)
    with open(tell, "w") as out:
        out.write(f"0 {began:.6f} {done:.6f}\n")
    while True:
        time.sleep(60)


if __name__ == "__main__":
    {"make": make, "seed": seed, "get": get}[sys.argv[1]](*sys.argv[2:])
