package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"path"
	"slices"
	"strings"
)

// checkGoroutines holds the functions that start a goroutine, tests and test
// support left out, to be those in the column "started in" of the goroutine
// table of ARCHITECTURE.md. A function is written folder.F or folder.T.M, as in
// exchange/pick.F.
func checkGoroutines(_ laws, r *repo) []string {
	listed, err := goroutineTable(r)
	if err != nil {
		return []string{err.Error()}
	}
	var bad []string
	starts := map[string]bool{}
	for _, f := range r.files {
		if f.test || testSupport(f.pkg) {
			continue
		}
		for _, d := range f.syntax.Decls {
			name := f.pkg + "." + declName(d)
			if at := startsIn(d); at.IsValid() {
				starts[name] = true
				if !slices.Contains(listed, name) {
					bad = append(bad, r.at(at, "%s starts a goroutine and is not in the goroutine table of ARCHITECTURE.md: say there who owns what and how it ends", name))
				}
			}
		}
	}
	for _, name := range listed {
		if !starts[name] {
			bad = append(bad, fmt.Sprintf("ARCHITECTURE.md: the goroutine table lists %s, which starts none", name))
		}
	}
	return bad
}

// testSupport tells whether only tests import a package.
func testSupport(pkg string) bool {
	return strings.HasPrefix(pkg, "internal/") || strings.HasSuffix(path.Base(pkg), "test")
}

// startsIn returns where d first starts a goroutine, if it does: a go statement,
// a call of a method Go or TryGo (sync.WaitGroup, errgroup.Group), time.AfterFunc
// or context.AfterFunc.
func startsIn(d ast.Decl) token.Pos {
	at := token.NoPos
	ast.Inspect(d, func(n ast.Node) bool {
		if at.IsValid() {
			return false
		}
		switch n := n.(type) {
		case *ast.GoStmt:
			at = n.Pos()
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Go", "TryGo", "AfterFunc"}, sel.Sel.Name) {
				at = n.Pos()
			}
		}
		return true
	})
	return at
}

// declName returns F, T.M, or the first name that a var declares.
func declName(d ast.Decl) string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		return funcName(d)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if v, ok := spec.(*ast.ValueSpec); ok {
				return v.Names[0].Name
			}
		}
	}
	return "?"
}

// goroutineTable returns the functions that ARCHITECTURE.md lists, sorted.
func goroutineTable(r *repo) ([]string, error) {
	header, rows, err := markdownTable(r, "goroutines")
	if err != nil {
		return nil, err
	}
	column := slices.Index(header, "started in")
	if column < 0 {
		return nil, fmt.Errorf("ARCHITECTURE.md: the goroutine table has no column %q", "started in")
	}
	names := map[string]bool{}
	for _, cells := range rows {
		in := codeSpans(cells[column])
		if len(in) == 0 {
			return nil, fmt.Errorf("ARCHITECTURE.md: the goroutine table's row %q names no function in backquotes", cells[0])
		}
		for _, name := range in {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}
