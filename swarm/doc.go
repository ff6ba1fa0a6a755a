// Package swarm keeps a private swarm private: it admits members and nobody else,
// over every transport, inbound and outbound.
//
// A Swarm stands between a libp2p host and everything that uses it. Its gater and
// its resource manager go into the host's options; Guard wraps the host. From
// then on a stranger gets identify, ping and the admission protocol; streams of
// any other protocol are reset, and NewStream fails, until each side has shown
// the other a membership (see swarm/membership) and the newer list of
// revocations has passed. The dialler of a connection begins; it takes one round
// trip. Who is not admitted within 5 s is disconnected.
//
// The handshake is also how a membership is countersigned and renewed: a member
// with the role inviter sends a new chain with its welcome. Lists of revocations
// are pushed to whoever is admitted when they arrive.
//
// Read next: handshake.go, then guard.go. State is one file, swarm.json in the
// node's directory; goroutines are listed in ARCHITECTURE.md. No API promise.
package swarm
