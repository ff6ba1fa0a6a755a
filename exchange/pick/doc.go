// Package pick decides what to ask of whom: rarity, deadlines, endgame, slow
// peers, LAN first. It is pure: no clock, goroutine, lock or I/O. It makes no
// API promise.
//
// A Picker numbers the pieces of one download from 0. One attempt is one peer
// sending one whole piece, so that a wrong piece has one culprit. The caller
// feeds events (OnHave, OnBlocks, …) and commands (Want, Done, …), then calls
// Advance, sends what the Plan says, and sleeps until the next event or
// Deadline. All calls come from one goroutine.
//
// # Which piece
//
// First the pieces with a deadline that is near, earliest first, each at the
// peer that would have it soonest. Then, as each peer has room: a piece that
// was begun and lost its peer; at random until four pieces are here; then the
// rarest, ties at random. When every known peer has everything, rarity says
// nothing, and runs of 16 consecutive pieces from a random start keep disks
// and readahead of both ends busy with sequential access instead.
//
// # How much
//
// A peer has as much in flight as it delivers in 1.25 round trips and half a
// second, from 2 blocks to 8 MiB, at first doubling with each window received.
// Requests are long: at least a quarter of the window, whole pieces when it is
// large.
//
// A peer that has not sent a right piece yet is on trial: one piece of it comes at
// a time, so a liar wastes one. In a crowd others may wait in its queue meanwhile,
// tied.
//
// What a peer is getting itself, and passes on as it comes, is asked of it as well,
// while nobody is bound to send it (partial.go).
//
// # Slow peers
//
// A peer that delivers nothing is snubbed: it keeps one block in flight, so
// that it can recover, and its pieces are open to others; later its attempts
// are replaced, and last it is reported by Dead. In the endgame, when all that
// is missing is in flight, a second copy of a piece is asked of a peer that
// would finish sooner, and the loser is cancelled. If that peer offers it first, it
// is taken when the other still needs three seconds, and three times as long.
//
// # Near before far
//
// What a peer on a better path holds is not asked on a worse one (LAN, WAN,
// relay), unless the better path alone would finish more than Config.Worth
// later than both together.
//
// Read Picker next, then plan.go. Constants are from BitTorrent practice; each
// names its reason where it is declared.
package pick
