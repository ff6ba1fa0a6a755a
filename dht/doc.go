// Package dht answers one question: who has this root?
//
// Router is the answer's shape; Kad is go-libp2p-kad-dht behind it and Memory a
// router inside one process for tests. Both pass the same conformance suite.
// Announcer repeats announcements before they expire, MDNS finds nodes on the
// LAN, and Cache remembers on disk which providers worked.
package dht
