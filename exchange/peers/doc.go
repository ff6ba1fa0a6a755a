// Package peers decides whom a node has as peers of one root: whom to connect
// to, and whom to let go. It is pure: no clock, goroutine, lock or I/O. It makes
// no API promise.
//
// A Crowd is told who was found (OnFound), how attempts to connect ended
// (OnFailed, OnPeer), what goes between us and each peer (OnMoved) and who left
// (OnGone). Advance says whom to connect to now, and whom to leave.
//
// # Whom
//
// Everybody, as long as there are fewer than Want: small crowds become a full
// mesh within a round trip or two. Of more it takes whom the user named, who is
// near, who gave something before, and then others at random, so that the graph
// of a large crowd is a random one, which is well connected. Who is near is
// connected to even if Want others are there. Room up to Most is left to those
// who come by themselves: newcomers must find somebody who takes them.
//
// # Turnover
//
// Once a minute, when Want are there and others wait, the worst few percent
// leave: who moved nothing lately, relayed before wan before lan, then who moved
// least, the farthest first. Who just came, or moved something in the last
// seconds, stays. So a node finds those it does best with, and is never cut off
// in a clique (libtorrent's peer turnover, algorithms.md 12.1).
//
// Read Crowd.Advance next.
package peers
