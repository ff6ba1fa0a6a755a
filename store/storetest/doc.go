// Package storetest holds the conformance suite of store.Store: what every
// store promises, as tests that each implementation runs. It is for tests only
// and makes no API promise.
package storetest
