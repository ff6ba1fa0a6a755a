// Command labwatch watches a crowd of scripts/netlab.sh from its holder's host:
// it ends at the moment when every byte of a content stands at some peer, or when
// the host has sent so many bytes, and prints what the host has sent since it
// began to watch, without headers.
//
// What a peer has is read from its file: nothing unverified is written there, so
// what is no hole is had. Linux only.
package main
