// Command shoal distributes content by its ID through a trackerless swarm, with
// the publisher's HTTP origin as the fail-safe.
//
// This folder holds flags and printing only; what a verb does is node.API. A
// verb has a file of its own: a function that returns its cli.Command, with the
// action below it. A verb works on a session: the running node of the directory
// when its socket answers, else a node inside this process (session.go).
//
// Data goes to stdout; words go to stderr as "shoal: ...". Exit codes are in
// errors.go. Read main.go next, then get.go.
package main
