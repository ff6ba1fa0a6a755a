package main

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// What each shell runs. They know nothing of the command: they ask it, by
// `completion words`, what may stand at the cursor.
var (
	//go:embed completion/shoal.bash
	bashCompletion string
	//go:embed completion/shoal.zsh
	zshCompletion string
	//go:embed completion/shoal.fish
	fishCompletion string
	//go:embed completion/shoal.ps1
	powershellCompletion string
)

// wordsOfCompletion is the argument of completion with which the scripts ask.
const wordsOfCompletion = "words"

func completionVerb(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print a script that completes this command in a shell", ArgsUsage: "bash|zsh|fish|powershell",
		Description: `It completes verbs, flags, their values, and the content IDs that are held. The head of
the script says how to keep it. The scripts ask 'shoal completion words -- WORD... =LAST'
for what may stand where LAST is typed, a line each.

EXAMPLE: shoal completion bash >~/.local/share/bash-completion/completions/shoal
         source <(shoal completion bash)`,
		Action: func(c *cli.Context) error { return runCompletion(c, sh) },
	}
}

func runCompletion(c *cli.Context, sh *shell) error {
	if c.Args().First() == wordsOfCompletion {
		return sh.completeWords(c)
	}
	if err := wantArgs(c, 1, 1); err != nil {
		return err
	}
	script, ok := map[string]string{
		"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion, "powershell": powershellCompletion, "pwsh": powershellCompletion,
	}[c.Args().First()]
	if !ok {
		return &usageError{fmt.Errorf("no completion for %q; there is %s", c.Args().First(), c.Command.ArgsUsage)}
	}
	_, err := io.WriteString(sh.stdout, script)
	return err
}

// completeWords prints what may stand where the last argument, behind its "=",
// is being typed: a line each, then a tab and what it means; ":files" where
// names of files may stand. It never fails: there is nobody to read why.
func (sh *shell) completeWords(c *cli.Context) error {
	words := c.Args().Tail()
	if len(words) == 0 || !strings.HasPrefix(words[len(words)-1], "=") {
		return &usageError{fmt.Errorf("%s needs the words of a command line, the last one behind '='", wordsOfCompletion)}
	}
	words[len(words)-1] = words[len(words)-1][1:]
	l := readLine(c.App, words)
	found, files := l.complete(func() []candidate { return sh.heldRoots(c.Context, l) })
	for _, f := range found {
		if err := sh.print(slices.DeleteFunc([]string{f.word, f.about}, func(s string) bool { return s == "" })...); err != nil {
			return err
		}
	}
	if files {
		return sh.print(":files")
	}
	return nil
}
