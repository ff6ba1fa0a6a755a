package archtest

import "slices"

// rules are all rules by name. Each returns its violations, one line each.
var rules = map[string]func(laws, *repo) []string{
	"decisions":    checkDecisions,
	"docs":         checkDocs,
	"goroutines":   checkGoroutines,
	"import table": checkImportTable,
	"imports":      checkImports,
	"init":         checkInit,
	"names":        checkNames,
	"pure":         checkPure,
	"rows":         checkRows,
	"size":         checkSize,
}

// check returns the violations of one rule, sorted.
func check(rule string, l laws, r *repo) []string {
	bad := rules[rule](l, r)
	slices.Sort(bad)
	return bad
}
