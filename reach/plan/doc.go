// Package plan decides how a node is reached: what the addresses that others saw
// say of the routers between, which addresses are worth offering to a peer that
// is to be met, who plays which part in that, and how much a relay gives to whom.
//
// It is pure: no clock, goroutine, channel, lock or I/O. Begin with Book in
// book.go, then punch.go and budget.go.
package plan
