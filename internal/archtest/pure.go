package archtest

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// refusedImports are what a pure package may not import, with all below them.
// Package io has a rule of its own.
var refusedImports = map[string]string{
	"context":     "what can be cancelled is I/O, which belongs to the caller",
	"crypto/rand": "chance comes in as a *rand.Rand",
	"io/fs":       "I/O belongs to the caller",
	"io/ioutil":   "I/O belongs to the caller",
	"log":         "return what is worth saying",
	"net":         "I/O belongs to the caller",
	"os":          "I/O belongs to the caller",
	"sync":        "a core has one owner, so it needs no lock",
	"syscall":     "I/O belongs to the caller",
	"testing":     "tests belong to _test.go files",
}

// refusedNames are what a pure package may not use of the packages it may import.
var refusedNames = map[string][]string{
	"fmt":  {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
	"time": {"After", "AfterFunc", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until"},
}

// randNames are what a pure package may use of math/rand and math/rand/v2: all
// that does not draw from the global source.
var randNames = []string{"ChaCha8", "New", "NewChaCha8", "NewPCG", "NewSource", "NewZipf", "PCG", "Rand", "Source", "Zipf"}

// checkPure holds the pure packages, their tests left out, to have no clock,
// goroutine, channel, lock or I/O.
func checkPure(l laws, r *repo) []string {
	var bad []string
	for _, f := range r.files {
		i := slices.IndexFunc(l.pure, func(p purity) bool { return p.pkg == f.pkg })
		if i < 0 || f.test {
			continue
		}
		bad = append(bad, impureImports(r, f, l.pure[i])...)
		bad = append(bad, impureCode(r, f, l.pure[i])...)
	}
	return bad
}

func impureImports(r *repo, f *file, p purity) []string {
	var bad []string
	for _, spec := range f.syntax.Imports {
		name := importPath(spec)
		if spec.Name != nil && spec.Name.Name == "." {
			bad = append(bad, r.at(spec.Pos(), "pure package %s imports %s as dot, which hides what it uses", f.pkg, name))
		}
		if p.stdOnly && strings.Contains(firstElement(name), ".") {
			bad = append(bad, r.at(spec.Pos(), "%s imports %s: it may import the standard library only", f.pkg, name))
		}
		if name == "io" && p.io == nil {
			bad = append(bad, r.at(spec.Pos(), "pure package %s imports io: I/O belongs to the caller", f.pkg))
		}
		for refused, why := range refusedImports {
			if name == "net/netip" {
				break // addresses are values
			}
			if name == refused || strings.HasPrefix(name, refused+"/") {
				bad = append(bad, r.at(spec.Pos(), "pure package %s imports %s: %s", f.pkg, name, why))
			}
		}
	}
	return bad
}

func impureCode(r *repo, f *file, p purity) []string {
	var bad []string
	of := selectors(r, f)
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		what := ""
		switch n := n.(type) {
		case *ast.GoStmt:
			what = "a go statement"
		case *ast.SelectStmt:
			what = "a select statement"
		case *ast.SendStmt:
			what = "a channel send"
		case *ast.ChanType:
			what = "a channel"
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				what = "a channel receive"
			}
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "print" || id.Name == "println") {
				what = id.Name
			}
		case *ast.SelectorExpr:
			if pkg, ok := of[n]; ok && impureName(pkg, n.Sel.Name, p) {
				what = pkg + "." + n.Sel.Name
			}
		}
		if what != "" {
			bad = append(bad, r.at(n.Pos(), "pure package %s has %s: let the caller do it and hand in the result", f.pkg, what))
		}
		return true
	})
	return bad
}

func impureName(pkg, name string, p purity) bool {
	switch pkg {
	case "io":
		return p.io != nil && !slices.Contains(p.io, name)
	case "math/rand", "math/rand/v2":
		return !slices.Contains(randNames, name)
	}
	return slices.Contains(refusedNames[pkg], name)
}

func firstElement(importPath string) string {
	first, _, _ := strings.Cut(importPath, "/")
	return first
}
