package archtest

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
)

// checkDocs holds every package to have a package comment, in its doc.go.
func checkDocs(_ laws, r *repo) []string {
	var bad []string
	for _, pkg := range r.packages() {
		i := slices.IndexFunc(r.files, func(f *file) bool { return f.path == path.Join(pkg, "doc.go") })
		if i < 0 {
			bad = append(bad, fmt.Sprintf("%s: no doc.go: say there what the package is for and what to read next", pkg))
			continue
		}
		f := r.files[i]
		want := "Package " + f.syntax.Name.Name + " "
		if f.syntax.Name.Name == "main" {
			want = "Command " + path.Base(pkg) + " "
		}
		if !strings.HasPrefix(strings.ReplaceAll(f.syntax.Doc.Text(), "\n", " "), want) {
			bad = append(bad, fmt.Sprintf("%s: no package comment that begins with %q", f.path, want))
		}
	}
	return bad
}

// checkInit holds every file to have no func init: what runs is called by name.
func checkInit(_ laws, r *repo) []string {
	var bad []string
	for _, f := range r.files {
		if f.generated {
			continue
		}
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				bad = append(bad, r.at(fn.Pos(), "func init: do it where it is needed, by name"))
			}
		}
	}
	return bad
}

// checkNames refuses packages that are named for nothing in particular.
func checkNames(l laws, r *repo) []string {
	var bad []string
	for _, pkg := range r.packages() {
		for elem := range strings.SplitSeq(pkg, "/") {
			if slices.Contains(l.names, elem) {
				bad = append(bad, fmt.Sprintf("%s: a package may not be named %s: name it for what it provides", pkg, elem))
			}
		}
	}
	for _, f := range r.files {
		name := strings.TrimSuffix(f.syntax.Name.Name, "_test")
		if slices.Contains(l.names, name) && name != path.Base(f.pkg) {
			bad = append(bad, fmt.Sprintf("%s: a package may not be named %s: name it for what it provides", f.path, name))
		}
	}
	return bad
}
