package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// repo is a parsed repository.
type repo struct {
	fsys   fs.FS
	module string
	fset   *token.FileSet
	files  []*file // in order of path
}

// file is one Go file of a repository.
type file struct {
	path      string // slash-separated, below the root
	pkg       string // directory of path: the package's path below the module
	test      bool   // a _test.go file
	generated bool   // protobuf code, marked as generated
	lines     int
	syntax    *ast.File
}

// load parses every Go file below the root of fsys, which must hold a go.mod,
// but those that the go command ignores: testdata, vendor and names that begin
// with a dot or an underscore.
func load(fsys fs.FS) (*repo, error) {
	r := &repo{fsys: fsys, fset: token.NewFileSet()}
	mod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return nil, fmt.Errorf("find the module: %w", err)
	}
	if r.module = modulePath(mod); r.module == "" {
		return nil, fmt.Errorf("go.mod has no module line")
	}
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name != "." && ignored(d.Name()):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		return r.parse(name)
	})
	return r, err
}

func (r *repo) parse(name string) error {
	src, err := fs.ReadFile(r.fsys, name)
	if err != nil {
		return err
	}
	syntax, err := parser.ParseFile(r.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	r.files = append(r.files, &file{
		path:      name,
		pkg:       path.Dir(name),
		test:      strings.HasSuffix(name, "_test.go"),
		generated: strings.HasSuffix(name, ".pb.go") && ast.IsGenerated(syntax),
		lines:     bytes.Count(src, []byte("\n")),
		syntax:    syntax,
	})
	return nil
}

func ignored(base string) bool {
	return base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")
}

func modulePath(mod []byte) string {
	for line := range strings.Lines(string(mod)) {
		if rest, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// packages returns the paths of all packages, sorted.
func (r *repo) packages() []string {
	var pkgs []string
	for _, f := range r.files {
		pkgs = append(pkgs, f.pkg)
	}
	slices.Sort(pkgs)
	return slices.Compact(pkgs)
}

// ours returns the path below the module of an import path, if it is of this module.
func (r *repo) ours(importPath string) (string, bool) {
	return strings.CutPrefix(importPath, r.module+"/")
}

// at formats a violation.
func (r *repo) at(pos token.Pos, format string, args ...any) string {
	p := r.fset.Position(pos)
	return fmt.Sprintf("%s:%d: ", p.Filename, p.Line) + fmt.Sprintf(format, args...)
}

// importPath returns the path of an import.
func importPath(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		panic("archtest: the parser let through the import " + spec.Path.Value)
	}
	return p
}
