// Package cdnfallback reads pieces and trees from the publisher's HTTP origin.
// What it returns is unverified; the caller checks it like a peer's bytes. When
// to ask is decided by cdnfallback/policy. No API promise: embed node instead.
//
// An [Origin] is a URL of a file, of a directory, or of a trustless IPFS
// gateway, and [Origin.Kind] tells which. A file's bytes come by range
// ([Origin.Range]), a gateway's by block ([Origin.Block]). The tree may stand
// beside the content ([Origin.ShoalFile]); content without a tree is read whole
// from its start ([Origin.Stream]).
//
// # What an origin may not do
//
// Every answer is held to what was asked: its status, the range it says, its
// lengths, its encoding, the state of the file, the time it takes. What does not
// fit is an [*Error] with a kind, and [Backoff] tells how long the origin is then
// left alone. No more bytes are read than were asked for, and none are kept here.
//
// Redirects are followed ten deep, to http and https, not from https to http,
// and not further inside than the server that sends them: public, then private,
// then loopback and link-local addresses. An origin that the user did not name
// is dialled at public addresses only. Credentials go to the named host alone
// and appear in no error, log or display. TestRangeFaults, TestRedirectInside
// and TestCredentialsStayHome hold this.
//
// # Who owns what
//
// An Origin may be shared; a Body and a stream have one owner. No goroutine
// outlives a call but those of net/http's idle connections, which Close ends,
// and the timer of a Body, which its Close stops.
//
// Read Origin.Range next.
package cdnfallback
