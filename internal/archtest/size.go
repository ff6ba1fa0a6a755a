package archtest

import (
	"fmt"
	"go/ast"
)

// checkSize holds functions and files to their longest. Tests obey too;
// generated code does not.
func checkSize(l laws, r *repo) []string {
	var bad []string
	for _, f := range r.files {
		if f.generated {
			continue
		}
		if f.lines > l.fileLines {
			bad = append(bad, fmt.Sprintf("%s: %d lines, %d at most: one idea a file", f.path, f.lines, l.fileLines))
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			name := ""
			switch n := n.(type) {
			case *ast.FuncDecl:
				name = funcName(n)
			case *ast.FuncLit:
				name = "a function literal"
			default:
				return true
			}
			lines := r.fset.Position(n.End()).Line - r.fset.Position(n.Pos()).Line + 1
			if lines > l.funcLines {
				bad = append(bad, r.at(n.Pos(), "%s has %d lines, %d at most: name its parts", name, lines, l.funcLines))
				return false
			}
			return true
		})
	}
	return bad
}

// funcName returns F or T.M.
func funcName(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return d.Name.Name
	}
	t := d.Recv.List[0].Type
	for {
		switch e := t.(type) {
		case *ast.StarExpr:
			t = e.X
		case *ast.ParenExpr:
			t = e.X
		case *ast.IndexExpr:
			t = e.X
		case *ast.IndexListExpr:
			t = e.X
		case *ast.Ident:
			return e.Name + "." + d.Name.Name
		default:
			return d.Name.Name
		}
	}
}
