// Package nat names the NAT in front of a socket from what peers saw of it, and
// says what can be done behind it. It is pure. No API promise.
//
// The words are RFC 4787's: a NAT maps a socket to an outside address, the same
// for whomever the socket speaks to or another for each, and filters what comes
// to that address: from anyone, from addresses that were spoken to, or from
// exactly the address and port that were.
package nat
