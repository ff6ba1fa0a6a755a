// Package sim simulates a swarm of up to tens of thousands of peers in virtual
// time, with the real cores: each peer asks by exchange/pick and serves by
// exchange/upload and its ledger, called as node and exchange call them. Nothing is decided
// here. What is modelled is what lies between the cores: access lines, round
// trips, queues, upload slots, batches of have.
//
// A run is a heap of events, one for each core that Config.Cores names (share.go); the same Config and seed give
// the same Result on any number of cores.
//
// # The network
//
// Only access lines are narrow (algorithms.md 11). A sender's line sends one
// unit (a few blocks) after the other, in turns over the connections that have
// a frame in a slot, which shares its rate as equal flows would. A unit reaches
// the receiver half a round trip later and passes its line after what came
// before; neither end ever exceeds its rate. A connection has a bounded number
// of bytes in flight, so that a full receiver holds its senders back.
//
// Control messages take half a round trip and no room. There is no loss, and no
// slow start.
//
// An origin (HTTP server) is a line shared by requests; peers may ride, also with a
// client made for it (ride.go), leave, and look for others when they lose theirs or
// starve.
//
// # Fidelity
//
// download.go follows node/download.go, node/remote.go and node/pieces.go;
// server.go follows exchange/lane.go and exchange/server.go, origin.go node/origin.go. When those change,
// these change with them.
//
// Read Crowd.Run next. Command swarmsim prints tables.
package sim
