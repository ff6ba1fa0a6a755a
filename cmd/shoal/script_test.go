package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	// By default each process of the race detector sleeps for a second when it exits.
	if os.Getenv("GORACE") == "" {
		os.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	testscript.Main(m, map[string]func(){"shoal": main})
}

// TestScript runs the promises of the README and of --help, each with processes
// of the real command on loopback. Commands beside those of testscript:
//
//	exits CODE PROGRAM ARG...      run and check the exit code
//	daemon NAME PROGRAM ARG...     start; its output goes to NAME.out and NAME.err
//	waitline NAME REGEXP           wait until a line of its stderr matches
//	halt NAME CODE                 SIGINT, wait, check the exit code
//	terminate NAME CODE            SIGTERM, wait, check the exit code
//	finish NAME CODE               wait, check the exit code
//	capture VAR FILE REGEXP        set VAR to the first group found in FILE, stdout or stderr
//	randfile FILE BYTES SEED       make a file of random bytes
//	origin VAR DIR [stall=BYTES]   serve DIR by HTTP at $VAR; with stall, no byte of a file
//	                               from that offset on is sent
//	origin VAR DIR tls=CERT,KEY    serve DIR by HTTPS
//	certificate CERT KEY NAME...   make a certificate that is its own root, and its key
//	proxy VAR HOST:PORT=ADDR...    run an HTTP proxy at $VAR that knows these hosts only; its log is VAR.log
//	unstall VAR                    send them
//	shape FILE EXAMPLE             the JSON in FILE has every field of the example, of its type
//	await REGEXP PROGRAM ARG...    run again and again until its stdout matches
func TestScript(t *testing.T) {
	t.Parallel()
	deadline, ok := t.Deadline()
	if !ok {
		deadline = time.Now().Add(time.Hour)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Deadline:            deadline.Add(-15 * time.Second), // what hangs is ended, and shown
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", os.Getenv("GORACE"))
			env.Setenv("SHOAL_DIR", filepath.Join(env.WorkDir, "home"))
			env.Setenv("SHOAL_MDNS", "off")
			env.Setenv("SHOAL_PORTMAP", "off")
			env.Setenv("SHOAL_LISTEN", "/ip4/127.0.0.1/tcp/0")
			env.Values[daemonsKey{}] = map[string]*daemon{}
			env.Values[originsKey{}] = map[string]*stallingOrigin{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": cmdExits, "daemon": cmdDaemon, "waitline": cmdWaitline, "halt": cmdHalt, "terminate": cmdTerminate, "finish": cmdFinish, "capture": cmdCapture,
			"randfile": cmdRandfile, "origin": cmdOrigin, "unstall": cmdUnstall, "await": cmdAwait, "shape": cmdShape,
			"certificate": cmdCertificate, "proxy": cmdProxy,
		},
	})
}

// tooLong ends a wait that would never end; no test is about it.
const tooLong = time.Minute

func wantUse(ts *testscript.TestScript, neg, ok bool, usage string) {
	if neg || !ok {
		ts.Fatalf("usage: %s", usage)
	}
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	wantUse(ts, neg, len(args) > 1, "exits CODE PROGRAM ARG...")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

type daemonsKey struct{}

// daemon is a process that runs beside the script.
type daemon struct {
	cmd    *exec.Cmd
	exited chan struct{}

	mu    sync.Mutex
	grown *sync.Cond
	lines []string
	over  bool
}

func cmdDaemon(ts *testscript.TestScript, neg bool, args []string) {
	wantUse(ts, neg, len(args) > 1, "daemon NAME PROGRAM ARG...")
	name := args[0]
	bin := filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], args[1])
	d := &daemon{cmd: exec.Command(bin, args[2:]...), exited: make(chan struct{})}
	d.grown = sync.NewCond(&d.mu)
	d.cmd.Dir = ts.MkAbs(".")
	for _, kv := range []string{"PATH", "HOME", "TMPDIR", "SHOAL_DIR", "SHOAL_MDNS", "SHOAL_PORTMAP", "SHOAL_LISTEN", "HTTPS_PROXY", "ALL_PROXY", "GOCOVERDIR", "GORACE"} {
		d.cmd.Env = append(d.cmd.Env, kv+"="+ts.Getenv(kv))
	}
	out, err := os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	errs, err := os.Create(ts.MkAbs(name + ".err"))
	ts.Check(err)
	d.cmd.Stdout = out
	pipe, err := d.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(d.cmd.Start())
	go func() {
		d.read(io.TeeReader(pipe, errs))
		_ = d.cmd.Wait() // its code is in ProcessState
		out.Close()
		errs.Close()
		close(d.exited)
	}()
	ts.Value(daemonsKey{}).(map[string]*daemon)[name] = d
	ts.Defer(func() {
		_ = d.cmd.Process.Kill() // fails when it has ended, which is fine
		<-d.exited
	})
}

func (d *daemon) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		d.mu.Lock()
		d.lines = append(d.lines, lines.Text())
		d.mu.Unlock()
		d.grown.Broadcast()
	}
	d.mu.Lock()
	d.over = true
	d.mu.Unlock()
	d.grown.Broadcast()
}

func daemonOf(ts *testscript.TestScript, name string) *daemon {
	d := ts.Value(daemonsKey{}).(map[string]*daemon)[name]
	if d == nil {
		ts.Fatalf("no daemon %s", name)
	}
	return d
}

func cmdWaitline(ts *testscript.TestScript, neg bool, args []string) {
	wantUse(ts, neg, len(args) == 2, "waitline NAME REGEXP")
	d := daemonOf(ts, args[0])
	re := regexp.MustCompile(args[1])
	timer := time.AfterFunc(tooLong, func() { _ = d.cmd.Process.Kill() })
	defer timer.Stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	for seen := 0; ; {
		for ; seen < len(d.lines); seen++ {
			if re.MatchString(d.lines[seen]) {
				return
			}
		}
		if d.over {
			ts.Fatalf("%s ended without a line that matches %q:\n%s", args[0], args[1], strings.Join(d.lines, "\n"))
		}
		d.grown.Wait()
	}
}

func cmdHalt(ts *testscript.TestScript, neg bool, args []string) {
	wantUse(ts, neg, len(args) == 2, "halt NAME CODE")
	ts.Check(daemonOf(ts, args[0]).cmd.Process.Signal(os.Interrupt))
	cmdFinish(ts, neg, args)
}

func cmdTerminate(ts *testscript.TestScript, neg bool, args []string) {
	wantUse(ts, neg, len(args) == 2, "terminate NAME CODE")
	ts.Check(daemonOf(ts, args[0]).cmd.Process.Signal(syscall.SIGTERM))
	cmdFinish(ts, neg, args)
}

func cmdFinish(ts *testscript.TestScript, neg bool, args []string) {
	wantUse(ts, neg, len(args) == 2, "finish NAME CODE")
	d := daemonOf(ts, args[0])
	select {
	case <-d.exited:
	case <-time.After(tooLong):
		ts.Fatalf("%s does not stop", args[0])
	}
	if got := strconv.Itoa(d.cmd.ProcessState.ExitCode()); got != args[1] {
		ts.Fatalf("exit code %s, want %s:\n%s", got, args[1], strings.Join(d.lines, "\n"))
	}
}

func cmdCapture(ts *testscript.TestScript, neg bool, args []string) {
	wantUse(ts, neg, len(args) == 3, "capture VAR FILE REGEXP")
	text := ts.ReadFile(args[1])
	m := regexp.MustCompile("(?m)" + args[2]).FindStringSubmatch(text)
	if len(m) < 2 {
		ts.Fatalf("no %q in %s:\n%s", args[2], args[1], text)
	}
	ts.Setenv(args[0], m[1])
}

func cmdRandfile(ts *testscript.TestScript, neg bool, args []string) {
	wantUse(ts, neg, len(args) == 3, "randfile FILE BYTES SEED")
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	seed := [32]byte{}
	copy(seed[:], args[2])
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = io.CopyN(f, rand.NewChaCha8(seed), n)
	ts.Check(errors.Join(err, f.Close()))
}

type originsKey struct{}

// stallingOrigin serves a directory and can hold the rest of each file back.
type stallingOrigin struct {
	http.Handler
	after   int64 // offset from which nothing is sent; -1 for no such
	release chan struct{}
	once    sync.Once
}

func cmdOrigin(ts *testscript.TestScript, neg bool, args []string) {
	wantUse(ts, neg, len(args) == 2 || len(args) == 3, "origin VAR DIR [stall=BYTES|tls=CERT,KEY]")
	o := &stallingOrigin{
		Handler: http.FileServer(http.Dir(ts.MkAbs(args[1]))),
		release: make(chan struct{}), after: -1,
	}
	server := httptest.NewUnstartedServer(o)
	if pair, ok := strings.CutPrefix(args[len(args)-1], "tls="); ok {
		cert, key, _ := strings.Cut(pair, ",")
		c, err := tls.LoadX509KeyPair(ts.MkAbs(cert), ts.MkAbs(key))
		ts.Check(err)
		server.TLS = &tls.Config{Certificates: []tls.Certificate{c}}
		server.StartTLS()
	} else {
		if len(args) == 3 {
			_, err := fmt.Sscanf(args[2], "stall=%d", &o.after)
			ts.Check(err)
		}
		server.Start()
	}
	ts.Defer(func() {
		o.once.Do(func() { close(o.release) })
		server.Close()
	})
	ts.Setenv(args[0], server.URL)
	ts.Value(originsKey{}).(map[string]*stallingOrigin)[args[0]] = o
}

func (o *stallingOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if o.after >= 0 && !strings.HasSuffix(r.URL.Path, ".shoal") {
		var from int64
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err != nil {
			from = 0 // no range: the whole file
		}
		w = &stallingWriter{w, o, r, from}
	}
	o.Handler.ServeHTTP(w, r)
}

// stallingWriter holds back what is at or after the offset of its origin.
type stallingWriter struct {
	http.ResponseWriter
	o  *stallingOrigin
	r  *http.Request
	at int64 // offset in the file of the next byte
}

func (w *stallingWriter) Write(p []byte) (int, error) {
	w.at += int64(len(p))
	if w.at > w.o.after {
		if f, ok := w.ResponseWriter.(http.Flusher); ok {
			f.Flush() // what came before is not held back
		}
		select {
		case <-w.o.release:
		case <-w.r.Context().Done():
			return 0, w.r.Context().Err()
		}
	}
	return w.ResponseWriter.Write(p)
}

func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	wantUse(ts, neg, len(args) > 1, "await REGEXP PROGRAM ARG...")
	re := regexp.MustCompile(args[0])
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(tooLong); time.Now().Before(end); <-again.C {
		if err := ts.Exec(args[1], args[2:]...); err == nil && re.MatchString(ts.ReadFile("stdout")) {
			return
		}
	}
	ts.Fatalf("never %q", args[0])
}

func cmdUnstall(ts *testscript.TestScript, neg bool, args []string) {
	wantUse(ts, neg, len(args) == 1, "unstall VAR")
	o := ts.Value(originsKey{}).(map[string]*stallingOrigin)[args[0]]
	o.once.Do(func() { close(o.release) })
}
