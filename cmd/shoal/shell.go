package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/vbauerster/mpb/v8/cwriter"
)

// shell is where a command reads its surroundings and writes. Words may be said
// from many goroutines.
type shell struct {
	stdin  io.Reader
	stdout io.Writer
	env    func(string) (string, bool)
	verb   string // the one being run, "" before it is known; owned by the main goroutine
	json   bool   // --json; owned by the main goroutine

	mu     sync.Mutex
	stderr io.Writer // while a progress bar is shown, the writer above it
}

// say writes one line of words.
func (sh *shell) say(format string, args ...any) {
	line := fmt.Sprintf("shoal: "+format+"\n", args...)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	// There is nowhere to report that words cannot be written.
	_, _ = io.WriteString(sh.stderr, line)
}

// redirect sends words to w until the returned function is called.
func (sh *shell) redirect(w io.Writer) func() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	before := sh.stderr
	sh.stderr = w
	return func() {
		sh.mu.Lock()
		defer sh.mu.Unlock()
		sh.stderr = before
	}
}

// print writes one line of data, its fields separated by tabs.
func (sh *shell) print(fields ...string) error {
	_, err := fmt.Fprintln(sh.stdout, strings.Join(fields, "\t"))
	return err
}

// printJSON writes v as the only JSON value of the command.
func (sh *shell) printJSON(v any) error {
	enc := json.NewEncoder(sh.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// onTerminal tells whether words go to a terminal.
func (sh *shell) onTerminal() bool {
	f, ok := sh.stderr.(*os.File)
	return ok && cwriter.IsTerminal(int(f.Fd()))
}

// printable quotes a name that has control characters: names come from
// strangers and could otherwise end lines or steer the terminal.
func printable(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) && r != ' ' }) {
		return strconv.Quote(name)
	}
	return name
}
