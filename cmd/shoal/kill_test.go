package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/node"
)

// TestKills ends processes of the real command by SIGKILL at random moments and
// looks at what they left: the store opens, every piece that it claims is
// right, roots that were complete are there, a file under its final name is
// whole, and going on fetches little again. SHOAL_KILLS is how many kills, 20 if
// unset; scripts/crash.sh runs a thousand and prints the table.
func TestKills(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGKILL here")
	}
	t.Parallel()
	want := 20
	if s := os.Getenv("SHOAL_KILLS"); s != "" {
		var err error
		if want, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	seeder := startSeeder(t)
	sum := &killTable{verbs: map[string]*killRow{}}
	var wg sync.WaitGroup
	for i := range 2 {
		k := newKiller(t, i, seeder, sum)
		wg.Go(func() {
			for sum.kills() < want && !t.Failed() {
				k.cycle()
			}
		})
	}
	wg.Wait()
	sum.print(t)
}

// killRow counts what became of the kills of a verb.
type killRow struct {
	kills, late int // all, and of them those that came when the verb had ended
	wrong, lost int // pieces or files that are not right; roots that are gone
	again       int64
}

// killTable sums up the kills of all workers.
type killTable struct {
	mu    sync.Mutex
	verbs map[string]*killRow
}

func (s *killTable) count(verb string, f func(*killRow)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.verbs[verb] == nil {
		s.verbs[verb] = &killRow{}
	}
	f(s.verbs[verb])
}

func (s *killTable) kills() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.verbs {
		n += r.kills
	}
	return n
}

// print shows the table, and fails the test when it should not look so.
func (s *killTable) print(t *testing.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	var all killRow
	line := func(verb string, r *killRow) {
		fmt.Fprintf(&b, "%-10s | %5d | %8d | %11d | %10d | %s\n", verb, r.kills, r.late, r.wrong, r.lost, size(r.again))
	}
	fmt.Fprintf(&b, "%-10s | %5s | %8s | %11s | %10s | %s\n", "killed", "kills", "too late", "wrong bytes", "lost roots", "most fetched again")
	for _, verb := range []string{"add", "add --copy", "get", "node", "cat", "unshare", "gc"} {
		r := s.verbs[verb]
		if r == nil {
			continue
		}
		line(verb, r)
		all.kills, all.late, all.wrong, all.lost = all.kills+r.kills, all.late+r.late, all.wrong+r.wrong, all.lost+r.lost
		all.again = max(all.again, r.again)
	}
	line("all", &all)
	t.Log("\n" + b.String())
	if file := os.Getenv("SHOAL_KILLS_TABLE"); file != "" {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Error(err)
		}
	}
	if all.wrong+all.lost > 0 || all.again > mostAgain {
		t.Errorf("%d wrong, %d lost, %s fetched again; want 0, 0 and at most %s", all.wrong, all.lost, size(all.again), size(mostAgain))
	}
}

// mostAgain is how much a resume may fetch again: what was in flight, which the
// sender has counted when it is in the buffers of the connection.
const mostAgain = 16 << 20

// seeder is a node of this process that holds what is fetched.
type seeder struct {
	*node.Node
	contents []seeded
}

type seeded struct {
	cid, path string
	size      int64
	dir       bool
}

func startSeeder(t *testing.T) *seeder {
	t.Helper()
	n, err := node.Start(t.Context(), node.Config{
		Dir: t.TempDir(), Listen: []string{"/ip4/127.0.0.1/tcp/0"}, MDNS: "off", PortMap: "off", Upload: "unlimited",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &seeder{Node: n}
	for i := range 4 {
		path := filepath.Join(t.TempDir(), "content")
		small := 0
		if i%2 == 1 {
			small = 150
		}
		killTree(t, path, uint64(i), small, 24<<20)
		a, err := n.Add(t.Context(), path, node.AddOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s.contents = append(s.contents, seeded{a.CID, path, a.Size, small > 0})
	}
	return s
}

// sent is how many bytes of a root others have had.
func (s *seeder) sent(t *testing.T, cid string) int64 {
	t.Helper()
	st, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range st.Roots {
		if r.CID == cid {
			return r.Sent
		}
	}
	t.Fatalf("the seeder lost %s", cid)
	return 0
}

// killTree writes a file of large bytes, in a directory with small files if there are any.
func killTree(t *testing.T, path string, seed uint64, small, large int) {
	t.Helper()
	r := rand.New(rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24), 'k'}))
	put := func(path string, n int) {
		b := make([]byte, n)
		for i := 0; i+8 <= n; i += 8 {
			v := r.Uint64()
			for j := range 8 {
				b[i+j] = byte(v >> (8 * j))
			}
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if small == 0 {
		put(path, large)
		return
	}
	if err := os.MkdirAll(filepath.Join(path, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	put(filepath.Join(path, "large"), large)
	for i := range small {
		put(filepath.Join(path, "sub", fmt.Sprint("file", i)), 100+int(r.Uint32()%8000))
	}
}

// killer kills commands of one directory.
type killer struct {
	t        *testing.T
	rng      *rand.Rand
	dir      string // of the victim
	work     string // where its files go
	seeder   *seeder
	contents []seeded // that no other worker fetches
	sum      *killTable
	shoal    string
	held     map[string]string // roots that must be there, by CID, and the user's file
	took     map[string]time.Duration
	seq      int
}

func newKiller(t *testing.T, i int, s *seeder, sum *killTable) *killer {
	t.Helper()
	shoal, err := exec.LookPath("shoal") // that of TestMain
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano()) + uint64(i)
	t.Logf("worker %d has seed %d", i, seed)
	k := &killer{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), dir: t.TempDir(), work: t.TempDir(), seeder: s, contents: s.contents[2*i : 2*i+2], sum: sum, shoal: shoal,
		held: map[string]string{}, took: map[string]time.Duration{}, seq: i << 20,
	}
	for j, args := range [][]string{{"add", "-q"}, {"add", "-q", "--copy"}} {
		path := k.tree(j * 20)
		k.held[strings.TrimSpace(k.run(append(args, path)...))] = path
	}
	return k
}

// tree makes new content of the user's.
func (k *killer) tree(small int) string {
	k.seq++
	path := filepath.Join(k.work, fmt.Sprint("tree", k.seq))
	killTree(k.t, path, uint64(k.seq)+1000, small, 2<<20)
	return path
}

func (k *killer) command(args ...string) *exec.Cmd {
	c := exec.Command(k.shoal, append([]string{"--dir", k.dir}, args...)...)
	c.Env = append(os.Environ(), "SHOAL_MDNS=off", "SHOAL_PORTMAP=off", "SHOAL_LISTEN=/ip4/127.0.0.1/tcp/0")
	return c
}

// run runs a command to its end; it has to be done.
func (k *killer) run(args ...string) string {
	var out, errs bytes.Buffer
	c := k.command(args...)
	c.Stdout, c.Stderr = &out, &errs
	from := time.Now()
	if err := c.Run(); err != nil {
		k.t.Errorf("shoal %s: %v: %s", strings.Join(args, " "), err, errs.String())
	}
	verb := args[0]
	k.took[verb] = max(k.took[verb]/2, time.Since(from))
	return out.String()
}

// kill starts a command and kills it at a random moment of the time that it takes.
func (k *killer) kill(name string, args ...string) {
	c := k.command(args...)
	if err := c.Start(); err != nil {
		k.t.Error(err)
		return
	}
	whole := k.took[args[0]]
	if whole == 0 {
		whole = 300 * time.Millisecond
	}
	time.Sleep(time.Duration(k.rng.Int64N(int64(whole))))
	late := c.Process.Kill() != nil
	if err := c.Wait(); err == nil {
		late = true
		k.took[args[0]] = whole * 3 / 4
	}
	k.sum.count(name, func(r *killRow) {
		r.kills++
		if late {
			r.late++
		}
	})
}

// killNode kills the running node while another command has it fetch.
func (k *killer) killNode(args ...string) {
	n := k.command("node")
	words, err := n.StderrPipe()
	if err == nil {
		err = n.Start()
	}
	if err != nil {
		k.t.Error(err)
		return
	}
	for lines := bufio.NewScanner(words); lines.Scan() && lines.Text() != "shoal: ready"; {
	}
	go io.Copy(io.Discard, words) // ends with the node
	c := k.command(args...)
	if err := c.Start(); err != nil {
		k.t.Error(err)
	}
	whole := max(k.took["get"], 100*time.Millisecond)
	time.Sleep(time.Duration(k.rng.Int64N(int64(whole))))
	if err := n.Process.Kill(); err != nil {
		k.t.Errorf("the node ended by itself: %v", err)
	}
	late := c.Wait() == nil
	_ = n.Wait() // it was killed
	k.sum.count("node", func(r *killRow) {
		r.kills++
		if late {
			r.late++
		}
	})
}

// cycle is one kill of each verb. What was killed is then run to its end.
func (k *killer) cycle() {
	name, args := "add", []string{"add", "-q"}
	if k.rng.IntN(2) == 0 {
		name, args = "add --copy", append(args, "--copy")
	}
	path := k.tree(k.rng.IntN(2) * 60)
	k.kill(name, append(args, path)...)
	k.check(name, "")
	added := strings.TrimSpace(k.run(append(args, path)...))
	k.held[added] = path

	got := k.get()
	k.unshare(added)
	k.unshare(got)
	if err := os.RemoveAll(path); err != nil {
		k.t.Error(err)
	}
	k.read()
}

// get kills a fetch, perhaps more than once, and resumes it.
func (k *killer) get() string {
	c := k.contents[k.rng.IntN(len(k.contents))]
	k.seq++
	out := filepath.Join(k.work, fmt.Sprint("got", k.seq))
	args := []string{"get", "--json", "-o", out, "--peer", k.seeder.Addrs()[0], c.cid}
	var had, before int64
	for range 1 + k.rng.IntN(2) {
		before = k.seeder.sent(k.t, c.cid)
		name := "get"
		if k.rng.IntN(3) == 0 {
			name = "node"
			k.killNode(args...)
		} else {
			k.kill(name, args...)
		}
		k.check(name, "")
		if k.whole(name, out, c.path) {
			k.held[c.cid] = out
			return c.cid
		}
		had += k.seeder.sent(k.t, c.cid) - before
	}
	var result node.Result
	if err := json.Unmarshal([]byte(k.run(args...)), &result); err != nil {
		k.t.Errorf("result of get: %v", err)
		return c.cid
	}
	if !k.whole("get", out, c.path) {
		k.t.Errorf("%s is not there after get", out)
	}
	again := result.From.LAN.Bytes + had - c.size
	k.sum.count("get", func(r *killRow) { r.again = max(r.again, again) })
	k.held[c.cid] = out
	return c.cid
}

// whole compares what stands under a final name with what it should be; false
// if nothing is there.
func (k *killer) whole(verb, got, want string) bool {
	if _, err := os.Lstat(got); errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err := exec.Command("diff", "-r", got, want).Run(); err != nil {
		k.sum.count(verb, func(r *killRow) { r.wrong++ })
		k.t.Errorf("%s differs from %s: %v", got, want, err)
	}
	return true
}

// unshare kills an unshare: the root is there or gone, and the user's file stays.
func (k *killer) unshare(cid string) {
	path := k.held[cid]
	delete(k.held, cid)
	k.kill("unshare", "unshare", cid)
	if k.check("unshare", cid) {
		k.run("unshare", cid)
	}
	if _, err := os.Lstat(path); err != nil {
		k.sum.count("unshare", func(r *killRow) { r.wrong++ })
		k.t.Errorf("unshare touched the user's file: %v", err)
	}
	if strings.Contains(path, "got") {
		if err := os.RemoveAll(path); err != nil {
			k.t.Error(err)
		}
	}
}

// read kills a reader and the collection of what it left.
func (k *killer) read() {
	c := k.contents[0]
	args := []string{"cat", "--peer", k.seeder.Addrs()[0], c.cid}
	k.kill("cat", args...)
	k.check("cat", "")
	k.run(append(args, "--range", "0-8000000")...)
	k.kill("gc", "gc")
	k.check("gc", "")
	k.run("gc")
	n := k.open("gc")
	if n == nil {
		return
	}
	defer n.Close()
	if all, err := n.Collect(k.t.Context()); err != nil || all.Bytes > 0 || all.Leftover > 0 {
		k.t.Errorf("after gc there was %+v to collect, %v", all, err)
	}
}

// open opens the directory of the victim in this process.
func (k *killer) open(verb string) *node.Node {
	n, err := node.Start(k.t.Context(), node.Config{Dir: k.dir, Offline: true})
	if err != nil {
		k.sum.count(verb, func(r *killRow) { r.lost += len(k.held) })
		k.t.Errorf("after a kill of %s: %v", verb, err)
		return nil
	}
	return n
}

// check opens the store and hashes all that it claims. It tells whether root is there.
func (k *killer) check(verb, root string) (there bool) {
	n := k.open(verb)
	if n == nil {
		return false
	}
	defer n.Close()
	err := n.Verify(k.t.Context(), "", func(b node.Bad) {
		k.sum.count(verb, func(r *killRow) { r.wrong++ })
		k.t.Errorf("after a kill of %s: %+v", verb, b)
	})
	if err != nil {
		k.t.Errorf("after a kill of %s: %v", verb, err)
	}
	st, err := n.Status(k.t.Context())
	if err != nil {
		k.t.Errorf("after a kill of %s: %v", verb, err)
	}
	complete := map[string]bool{}
	for _, r := range st.Roots {
		complete[r.CID] = r.State == "complete"
		there = there || r.CID == root
	}
	for cid := range k.held {
		if !complete[cid] {
			k.sum.count(verb, func(r *killRow) { r.lost++ })
			k.t.Errorf("after a kill of %s: %s is not complete any more", verb, cid)
		}
	}
	return there
}
