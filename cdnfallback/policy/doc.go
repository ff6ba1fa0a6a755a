// Package policy decides when origin bytes may be spent, and why. It is pure:
// no clock, goroutine, lock or I/O. It makes no API promise.
//
// A Policy numbers the pieces of one download from 0, as pick does. The caller
// tells it what is wanted and done, what peers hold, are asked for, claim and
// deliver, and how origin requests end; Advance says which runs to request now,
// each with its Reason. All calls come from one goroutine.
//
// # The rules
//
// Asked in this order, each until the slots are used up:
//
//	start     interactive: nobody is known, or peers have not delivered in 0.5 s
//	inject    nobody in view has it, nobody has claimed it, and this node's
//	          rank among the peers that lack it says that it is its turn
//	deadline  a reader needs it sooner than peers are likely to bring it, and
//	          the origin would be sooner
//	stall     peers deliver nothing and nothing new shows up in view
//	deficit   peers deliver less than is needed for several seconds on end
//	tail      two pieces are left and the origin would be much sooner
//
// Each rule is as guarded as it is because a careless one multiplies by the
// number of downloaders: 1,000 peers that all lose patience after two seconds
// are 1,000 copies. Ranks and claims make N downloaders inject about one copy.
//
// # The classes
//
// Interactive uses all rules; alone it is a plain download with long requests.
// Background waits Config.OriginAfter, then injects; it stalls late, fills a
// deficit only against Config.Target and by a token bucket, and rescues the
// tail only of the slowest of many. Economy injects; after a minute without a
// byte it falls back to stall, so that liars cannot keep content away.
//
// Read Policy.Advance next. Rules and constants are from algorithms.md 3.4 and
// 3.5 unless a comment says otherwise.
package policy
