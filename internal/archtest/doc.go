// Package archtest holds the architecture as tests: they fail when the code
// drifts from what ARCHITECTURE.md says.
//
// The laws are data (see laws.go): which package may import which, which are
// pure, how long a function and a file may be, which names are refused. A rule
// is a function from a parsed repository to violations, one line each, that
// says where, what and what to do. Files are parsed whatever their build
// constraints, so a Windows file obeys the same laws as a Linux one.
//
// Two tables are read from ARCHITECTURE.md, between HTML comments: the imports,
// which must say the same as laws.go, and the goroutines, whose column "started
// in" must name exactly the functions that start one.
//
// Every rule is shown to fail by a fixture in testdata: a small repository with
// the violations it must yield. Only tests use this package. Read laws.go next.
package archtest
