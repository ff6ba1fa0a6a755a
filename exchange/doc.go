// Package exchange moves pieces between two peers.
//
// Between each pair of peers there is one Session: a control stream of
// protobuf messages and, from each side that sends pieces, one data stream of
// frames (a small header, then raw bytes). PROTOCOL.md is the description of
// both, with every limit.
//
// Exchange owns the sessions and the upload side: it answers for the roots of
// a Library, and chooses whom to serve by exchange/ledger. A root that is being
// fetched joins with Exchange.Open and gets its peers' messages as Events.
//
// Read Root next. No API promise.
package exchange
