// Package node is shoal as a library and the only place where two domains
// meet: it introduces peers (exchange), discovery (dht), origins (cdnfallback)
// and disk (store) to one another.
//
// Start runs a node; Fetch, Open and List read content by its ID, Add shares
// files in place. Close stops everything and waits.
//
// Read download.go next: the event loop of one root being fetched is the main
// path of the program. ARCHITECTURE.md lists every goroutine.
package node
