package archtest

import (
	"go/ast"
	"go/types"
	"path"
	"strings"
)

// selectors tells which selector expressions of a file are names of an imported
// package: time.Now is, now.Sub is not, nor is rand.IntN when rand is a parameter.
func selectors(r *repo, f *file) map[*ast.SelectorExpr]string {
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	conf := types.Config{Importer: hollow{}, Error: func(error) {}, FakeImportC: true}
	// What is declared elsewhere is missing, so there are always errors; the
	// scopes, which are what is wanted, are right all the same.
	_, _ = conf.Check(f.pkg, r.fset, []*ast.File{f.syntax}, info)
	found := map[*ast.SelectorExpr]string{}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok {
				if pkg, ok := info.Uses[id].(*types.PkgName); ok {
					found[sel] = pkg.Imported().Path()
				}
			}
		}
		return true
	})
	return found
}

// hollow imports every package as an empty one with the name its path suggests.
type hollow struct{}

func (hollow) Import(importPath string) (*types.Package, error) {
	name := path.Base(importPath)
	if isMajorVersion(name) {
		name = path.Base(path.Dir(importPath))
	}
	pkg := types.NewPackage(importPath, name)
	pkg.MarkComplete()
	return pkg, nil
}

// isMajorVersion tells whether an element of an import path is v2, v3 and so on.
func isMajorVersion(s string) bool {
	rest, ok := strings.CutPrefix(s, "v")
	return ok && rest != "" && strings.Trim(rest, "0123456789") == ""
}
