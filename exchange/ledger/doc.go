// Package ledger decides whom to serve next: the tit-for-tat ledger. It is
// pure: no clock, goroutine, lock or I/O. It makes no API promise.
//
// A Ledger is told what peers gave (OnReceived), what they were given (OnSent)
// and how much they wait for (Queue, Unqueue), and answers Next: the peer whose
// block goes out now. It is work conserving: while anyone waits, someone is
// served. The caller may keep back those who had a newcomer's turn and gave nothing
// (Standing).
//
// # Order
//
// Members of the same private swarm (Group) get 80% of the uplink when strangers
// wait too, and take turns, weighted by what they will make of it (Value).
//
// Strangers (Public) who have given something come by deficit: what they gave
// less what they got, the largest first, forgotten with a half-life of 10
// minutes. There is no choking and nothing to tune, and it answers within one
// block (FairTorrent, Sherman et al., ToN 2012).
//
// A newcomer, who has given nothing yet, competes with them for the few pieces
// of his canonical free set only (FreeSet). It is chosen by a hash of his address
// prefix and the root, so it is the same at every server: connecting to many,
// or with many identities, yields no more (the idea of BEP 6). What else he
// asks for is sent when nobody above waits, in turns by prefix and never
// fastest first; that is how a seed serves everyone. Who got most, and passed least
// of it on to others, comes last.
//
// A turn is one piece or one second, whichever ends first: serving few peers at
// a time makes the first whole copies early, from which others can go on
// (Mundinger et al., J. Scheduling 2008).
//
// Read Ledger.Next next.
package ledger
