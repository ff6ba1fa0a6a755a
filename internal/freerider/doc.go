// Command freerider fetches a file from shoal peers and gives nothing back, with
// the tricks of one that wants to be served all the same: it connects to everyone
// it hears of, is several peers on one address, changes its identities every few
// seconds, and lies about what it has. scripts/bench.sh crowd measures what that
// gets it and what it costs the others.
package main
