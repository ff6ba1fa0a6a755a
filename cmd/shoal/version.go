package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

// version is set by the release build: -ldflags "-X main.version=1.2.3".
var version = ""

func versionVerb(sh *shell) *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the version of this program",
		Description: `EXAMPLE: shoal version`,
		Action:      func(c *cli.Context) error { return runVersion(c, sh) },
	}
}

func runVersion(c *cli.Context, sh *shell) error {
	if err := wantArgs(c, 0, 0); err != nil {
		return err
	}
	if sh.json {
		return sh.printJSON(struct {
			Version string `json:"version"`
			Go      string `json:"go"`
			OS      string `json:"os"`
			Arch    string `json:"arch"`
		}{versionString(), runtime.Version(), runtime.GOOS, runtime.GOARCH})
	}
	return sh.print(fmt.Sprintf("shoal %s (%s, %s/%s)", versionString(), runtime.Version(), runtime.GOOS, runtime.GOARCH))
}

// versionString is the version of the release, of the module when it was
// installed by the go command, else "dev".
func versionString() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}
