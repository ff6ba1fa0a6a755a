// Package upload decides what to send next: whose turn it is, which of that
// peer's requests, and how much may be on the way. It is pure: no clock,
// goroutine, lock or I/O. It makes no API promise.
//
// Requests wait in a queue a peer. The caller asks Next for a frame whenever it
// can send one, tells OnSent when the frame was handed to the transport, and
// OnAcked when the receiver says what has come. All calls come from one owner.
//
// # Whose turn
//
// Package ledger says it, whenever a piece begins. A turn is for one piece, to
// its end, so that one piece goes out at the full rate instead of many at a part
// of it: the first copy of a piece that is sent to k peers at once arrives k
// times later (Mundinger's model, algorithms.md 3.4). While the peer's own line
// cannot take more, others go on or begin.
//
// Who gave nothing, passed nothing on and had a newcomer's turn is an outsider: while
// others need most of the line he waits, also between their requests (demand.go).
//
// # Which request
//
// Before all else a piece that came and that nobody else is known to have goes to one
// peer, an insider if one asks for it (sole.go): who leaves takes it along.
//
// Of what a peer asked for, what is urgent for a reader comes first, then the rest of
// a piece that was begun, then the piece of which fewest copies are known: those that insiders said
// they have, and those that were sent from here. So a holder gives every piece
// away about once before it gives any twice, although those who ask choose at
// random.
//
// # Offers
//
// What a peer asked of others too, or others have by now, is offered to it before it
// is sent, so that it comes from whoever has time first, and once. Offers are made
// while the line is still busy with what was taken before, and no more is promised
// than is sent soon: what is promised here is kept from those who may have time.
//
// # What is coming
//
// Blocks of a piece that is being got are passed on as they come (partial.go).
//
// # How much
//
// The transport takes whatever it is given and keeps it in buffers, where
// nothing can be reordered or taken back any more. So no more is put there than
// keeps the line busy for a while, as far as that can be reckoned (uplink.go), and
// to each peer no more is on the way than its own line takes (window.go). What is on the
// way to those who acknowledge soon waits in our own line, and is bounded as well
// (crammed.go): a holder has few pieces begun at a time, and who is killed takes little.
// A seed that gave everything away once serves as many at once as can take it.
//
// A slow line is written to no faster than it carries while we are given something
// ourselves, so that our acknowledgements and requests do not wait in it (pace.go).
//
// Read Uploads next, then uplink.go.
package upload
