package archtest

import (
	"fmt"
	"io/fs"
	"strings"
)

// checkDecisions holds every dependency that go.mod names as direct, tools too,
// to be named in a heading or a table row of DECISIONS.md.
func checkDecisions(_ laws, r *repo) []string {
	mod, err := fs.ReadFile(r.fsys, "go.mod")
	if err != nil {
		return []string{err.Error()}
	}
	text, err := fs.ReadFile(r.fsys, "DECISIONS.md")
	if err != nil {
		return []string{fmt.Sprintf("DECISIONS.md: %v: give each direct dependency an entry there", err)}
	}
	named := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, "|") {
			for _, word := range strings.FieldsFunc(line, notInPath) {
				named[strings.Trim(word, ".")] = true
			}
		}
	}
	var bad []string
	for _, dep := range directDependencies(string(mod)) {
		if !named[dep] {
			bad = append(bad, fmt.Sprintf("DECISIONS.md: no heading or table row names %s: say what it saves, what it brings, how to leave it", dep))
		}
	}
	return bad
}

// notInPath tells whether r cannot stand in a module path.
func notInPath(r rune) bool {
	return r <= ' ' || strings.ContainsRune("`|()[]<>,:;*\"'", r)
}

// directDependencies returns the modules that a go.mod requires itself and the
// modules of its tools, in order. It reads the form that go mod tidy writes.
func directDependencies(mod string) []string {
	var direct, all, tools []string
	block := ""
	for line := range strings.Lines(mod) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
			continue
		case block == "" && len(words) == 2 && words[1] == "(":
			block = words[0]
			continue
		case words[0] == ")":
			block = ""
			continue
		}
		verb := block
		if verb == "" {
			verb, words = words[0], words[1:]
		}
		switch {
		case verb == "tool":
			tools = append(tools, words[0])
		case verb == "require":
			all = append(all, words[0])
			if !strings.Contains(line, "// indirect") {
				direct = append(direct, words[0])
			}
		}
	}
	for _, tool := range tools {
		for _, module := range all {
			if tool == module || strings.HasPrefix(tool, module+"/") {
				direct = append(direct, module)
			}
		}
	}
	return direct
}
