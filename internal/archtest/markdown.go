package archtest

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

// markdownTable returns the table that stands in ARCHITECTURE.md between the
// comments NAME:begin and NAME:end, each row as wide as the header.
func markdownTable(r *repo, name string) (header []string, rows [][]string, err error) {
	text, err := fs.ReadFile(r.fsys, "ARCHITECTURE.md")
	if err != nil {
		return nil, nil, err
	}
	_, rest, began := strings.Cut(string(text), "<!-- "+name+":begin -->")
	body, _, ended := strings.Cut(rest, "<!-- "+name+":end -->")
	if !began || !ended {
		return nil, nil, fmt.Errorf("ARCHITECTURE.md: no table between <!-- %[1]s:begin --> and <!-- %[1]s:end -->", name)
	}
	for line := range strings.Lines(body) {
		line, ok := strings.CutPrefix(strings.TrimSpace(line), "|")
		if !ok {
			continue
		}
		cells := strings.Split(strings.TrimSuffix(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case header == nil:
			header = cells
		case strings.Trim(strings.Join(cells, ""), "-: ") == "":
		case len(cells) != len(header):
			return nil, nil, fmt.Errorf("ARCHITECTURE.md: row %q of the table %s has %d cells, want %d", cells[0], name, len(cells), len(header))
		default:
			rows = append(rows, cells)
		}
	}
	if header == nil {
		return nil, nil, fmt.Errorf("ARCHITECTURE.md: the table %s is empty", name)
	}
	return header, rows, nil
}

var codeSpan = regexp.MustCompile("`([^`]+)`")

// codeSpans returns what stands in backquotes, sorted.
func codeSpans(cell string) []string {
	var spans []string
	for _, m := range codeSpan.FindAllStringSubmatch(cell, -1) {
		spans = append(spans, m[1])
	}
	slices.Sort(spans)
	return spans
}

// readImportTable returns the import table of ARCHITECTURE.md.
func readImportTable(r *repo) ([]row, error) {
	header, cells, err := markdownTable(r, "imports")
	if err != nil {
		return nil, err
	}
	if len(header) != 3 {
		return nil, fmt.Errorf("ARCHITECTURE.md: the import table has %d columns, want 3", len(header))
	}
	var rows []row
	for _, c := range cells {
		name := codeSpans(c[0])
		if len(name) != 1 {
			return nil, fmt.Errorf("ARCHITECTURE.md: row %q of the import table must name one package in backquotes", c[0])
		}
		rows = append(rows, row{name[0], codeSpans(c[1]), codeSpans(c[2])})
	}
	return rows, nil
}

// writeImportTable formats rows as ARCHITECTURE.md has them.
func writeImportTable(rows []row) string {
	var b strings.Builder
	b.WriteString("| package | may import | its tests also |\n|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.pkg, quoted(r.imports), quoted(r.tests))
	}
	return b.String()
}

func quoted(names []string) string {
	if len(names) == 0 {
		return "–"
	}
	return "`" + strings.Join(names, "` `") + "`"
}

// checkImportTable holds the table of ARCHITECTURE.md to say what the laws say.
func checkImportTable(l laws, r *repo) []string {
	documented, err := readImportTable(r)
	if err != nil {
		return []string{err.Error()}
	}
	if want := writeImportTable(l.imports); writeImportTable(documented) != want {
		return []string{"ARCHITECTURE.md: the import table does not say what internal/archtest/laws.go says; it should be\n" + want}
	}
	return nil
}
