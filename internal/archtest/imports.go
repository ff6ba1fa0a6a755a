package archtest

import (
	"fmt"
	"slices"
)

// checkImports holds every import of this module's packages to the table, and
// the table to have a row for every package.
func checkImports(l laws, r *repo) []string {
	var bad []string
	for _, pkg := range r.packages() {
		if _, ok := l.row(pkg); !ok {
			bad = append(bad, fmt.Sprintf("%s: not in the import table: add a row to internal/archtest/laws.go and to ARCHITECTURE.md, or move the code", pkg))
		}
	}
	for _, f := range r.files {
		allowed, ok := l.row(f.pkg)
		if !ok {
			continue
		}
		for _, spec := range f.syntax.Imports {
			to, ok := r.ours(importPath(spec))
			switch {
			case !ok || slices.Contains(allowed.imports, to):
			case f.test && (to == f.pkg || slices.Contains(allowed.tests, to)):
			case f.test:
				bad = append(bad, r.at(spec.Pos(), "the tests of %s may not import %s: see the import table in ARCHITECTURE.md", f.pkg, to))
			default:
				bad = append(bad, r.at(spec.Pos(), "%s may not import %s: see the import table in ARCHITECTURE.md", f.pkg, to))
			}
		}
	}
	return bad
}

// checkRows holds the table to name only packages that exist.
func checkRows(l laws, r *repo) []string {
	pkgs := r.packages()
	var bad []string
	for _, row := range l.imports {
		for _, name := range slices.Concat([]string{row.pkg}, row.imports, row.tests) {
			if !slices.Contains(pkgs, name) {
				bad = append(bad, fmt.Sprintf("%s: named in the import table and not there: remove it from internal/archtest/laws.go and ARCHITECTURE.md", name))
			}
		}
	}
	slices.Sort(bad)
	return slices.Compact(bad)
}
