// Package probe asks peers what they see of this node, and answers them: the
// address they see a connection come from, their clock, and packets by UDP from
// where the asker has not been, which tell what NAT it is behind. What is made of
// that is decided by probe/nat. No API promise: embed node instead.
//
// [Serve] answers, on a libp2p stream and on the node's own UDP sockets beside
// QUIC. [Ask] opens a conversation with one peer, and [Explore] sends and awaits
// packets with the help of several.
//
// # What a stranger can make a node send
//
// A packet goes only to the address that the asker's own connection comes from,
// to a port from 1024 on, and has 64 bytes; there are at most three for one
// request, few requests a peer and address, and few in all. A packet that comes
// in is answered only with a token that was given over a stream a moment ago, by
// one of the same length. So nobody is made to send to others, or more than was
// sent to it. TestServerRefuses and TestServerLimits hold this.
//
// Read Explore next.
package probe
