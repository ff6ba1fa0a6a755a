// Package dht answers one question: who has this root?
//
// Router is the answer's shape. Kad is go-libp2p-kad-dht behind it, Memory a
// router inside one process for tests; both pass the suite in dhttest. Kad adds
// what kad-dht leaves open: Provide fails when nobody kept the record, Find fills
// in addresses and bounds what liars send, the records of others are bounded,
// the mode follows modeRule, and an empty routing table is filled again soon.
//
// ProvideMany announces many keys by kad-dht's batching provider, and says what
// that cost. What this node itself holds is asked of its owner, see ownRecords.
//
// Around it: Announcer keeps announcing a set of roots and, in batches, keys, MDNS finds the nodes of
// the LAN, Cache remembers on disk which peers worked, Finder asks the cache and
// then the DHT for a download, and Again says when a download asks again.
//
// What decides is apart from what does: modeRule, schedule, sweepPlan, sightings and Again
// know no clock and do no I/O. The stories in testdata show what they do.
//
// Read router.go, then kad.go, provide.go, batch.go and find.go.
package dht
