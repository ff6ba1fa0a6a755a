package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// stopGrace is how long a stop may take after the first signal.
const stopGrace = 5 * time.Second

// errInterrupted is why the context ends on SIGINT or SIGTERM.
var errInterrupted = errors.New("interrupted")

func main() {
	takeAllProxy()
	ctx, stop := interruptible(os.Stderr)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	sh := &shell{stdin: os.Stdin, stdout: stdout, stderr: stderr, env: os.LookupEnv}
	app := newApp(sh)
	args, verb, err := reorder(args, shapesOf(app))
	sh.verb = verb
	if err == nil {
		err = app.RunContext(ctx, append([]string{"shoal"}, args...))
	}
	for _, line := range errorLines(err, sh.verb) {
		sh.say("%s", line)
	}
	return exitCode(err)
}

// interruptible returns a context that the first SIGINT or SIGTERM ends. A
// second one, or stopGrace without a clean stop, ends the process.
func interruptible(stderr io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2) // 2: neither the first nor the second signal is lost
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel(errInterrupted)
		select {
		case <-signals:
		case <-time.After(stopGrace):
			fmt.Fprintf(stderr, "shoal: no clean stop within %v\n", stopGrace)
		}
		os.Exit(exitFailed)
	}()
	return ctx, func() { signal.Stop(signals) }
}
