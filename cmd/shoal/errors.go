package main

import (
	"errors"
	"strings"

	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/node"
)

// Exit codes. Every help text ends with them.
const (
	exitDone         = 0
	exitFailed       = 1
	exitUsage        = 2
	exitUnavailable  = 3
	exitVerification = 4
)

// usageError is a command line that cannot be right.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// codedError ends a command with a code of its own, its words said already or in err.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

// exitCode is the exit code for the error a command ended with.
func exitCode(err error) int {
	if err == nil {
		return exitDone
	}
	if c, ok := errors.AsType[*codedError](err); ok {
		return c.code
	}
	if isUsage(err) {
		return exitUsage
	}
	if _, ok := errors.AsType[*node.VerificationError](err); ok {
		return exitVerification
	}
	if _, ok := errors.AsType[*node.ManifestError](err); ok {
		return exitVerification
	}
	if _, ok := errors.AsType[*node.UnavailableError](err); ok {
		return exitUnavailable
	}
	if errors.Is(err, merkle.ErrMismatch) {
		return exitVerification
	}
	return exitFailed
}

func isUsage(err error) bool {
	_, ok := errors.AsType[*usageError](err)
	return ok || errors.Is(err, node.ErrUsage)
}

// errorLines are the words for the error a command ended with: what and why,
// then what to do where that is known.
func errorLines(err error, verb string) []string {
	if err == nil {
		return nil
	}
	lines := []string{strings.TrimPrefix(err.Error(), node.ErrUsage.Error()+": ")}
	if u, ok := errors.AsType[*node.UnavailableError](err); ok {
		if len(u.Liars) > 0 {
			lines = append(lines, "gave wrong bytes: "+strings.Join(u.Liars, "; "))
		}
		if u.Hint != "" {
			lines = append(lines, u.Hint)
		}
	}
	if m, ok := errors.AsType[*node.ManifestError](err); ok && m.Hint != "" {
		lines = append(lines, m.Hint)
	}
	if isUsage(err) {
		help := "see shoal --help"
		if verb != "" {
			help = "see shoal " + verb + " --help"
		}
		lines = append(lines, help)
	}
	for i, line := range lines {
		lines[i] = strings.ReplaceAll(line, "\n", "; ")
	}
	return lines
}
