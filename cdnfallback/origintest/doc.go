// Package origintest is an HTTP origin for tests: files with ranges and
// validators, blocks as a trustless gateway serves them, and faults on request.
//
// It is honest until SetFault: then it lies, cuts, ignores ranges, hangs, drips,
// redirects, compresses, refuses or changes, and counts what it sends all the
// while. Origin is an http.Handler for httptest; Pipe serves it without sockets,
// which a testing/synctest bubble needs.
package origintest
