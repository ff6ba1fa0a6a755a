package swarm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Errors that callers branch on.
var (
	ErrNotPrivate = errors.New("not in a private swarm")
	ErrUsedUp     = errors.New("the invite is used up")

	// ErrLost is a private directory without its state: what it shares must not
	// become open by that.
	ErrLost = errors.New("its state is lost")
)

// Limits of what is remembered.
const (
	maxMembers = 4096
	maxInvites = 1024
	maxUsed    = 1 << 16  // uses of all of them
	maxState   = 16 << 20 // bytes of the file
)

// state is swarm.json: everything a node knows of its swarm. It holds secrets
// while the membership is provisional, and who was met.
type state struct {
	Version   int       `json:"version"` // 1
	Name      string    `json:"name"`
	ID        peer.ID   `json:"id"`
	Chain     []byte    `json:"chain"`               // of this node, as membership.AppendChain writes it
	Before    []byte    `json:"before,omitempty"`    // the chain before it, should that one fall
	Authority string    `json:"authority,omitempty"` // path of the authority's key, where this node made the swarm
	Addrs     []string  `json:"addrs,omitempty"`     // members to join through
	List      []byte    `json:"list,omitempty"`      // newest list of revocations
	Revoked   []peer.ID `json:"revoked,omitempty"`   // every name on any list ever taken in
	Told      []string  `json:"told,omitempty"`      // addresses last told to others, for invites made while no node runs

	Invites map[string]*inviteState `json:"invites,omitempty"` // made or counted here, by key as text
	Members map[string]*memberState `json:"members,omitempty"` // met
}

// inviteState counts an invite.
type inviteState struct {
	Roles   uint32    `json:"roles"`
	Expires time.Time `json:"expires"`
	Uses    uint64    `json:"uses"`
	Used    []peer.ID `json:"used,omitempty"`
	Made    bool      `json:"made,omitempty"`    // by this node
	UsedUp  bool      `json:"used_up,omitempty"` // revoked because somebody came beyond its uses
}

// memberState is a member as it was last met.
type memberState struct {
	Roles       uint32    `json:"roles"`
	Expires     time.Time `json:"expires"`
	Seen        time.Time `json:"seen"`
	Provisional bool      `json:"provisional,omitempty"`
	By          peer.ID   `json:"by,omitempty"`
}

func statePath(dir string) string { return filepath.Join(dir, "swarm.json") }

// markPath is a file that says with the swarm's ID that a directory is private,
// from before it has a state until it leaves.
func markPath(dir string) string { return filepath.Join(dir, "private") }

// Exists reports whether dir belongs to a private swarm, also if its state is lost.
func Exists(dir string) bool {
	_, err := os.Lstat(statePath(dir))
	_, err2 := os.Lstat(markPath(dir))
	return err == nil || err2 == nil
}

// marked is the swarm that dir is marked with, "" for none.
func marked(dir string) (string, error) {
	b, err := os.ReadFile(markPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read which swarm the directory is in: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// mark makes dir private; it comes before the first save.
func mark(dir string, id peer.ID) error {
	if err := writeFile(markPath(dir), []byte(id.String()+"\n")); err != nil {
		return fmt.Errorf("mark the directory as private: %w", err)
	}
	return nil
}

// absent is the error of a directory without a state.
func absent(dir string) error {
	switch id, err := marked(dir); {
	case err != nil:
		return err
	case id != "":
		return fmt.Errorf("%w: %s is in the private swarm %s, but %s is missing; restore that file, or join the same swarm again by an invite. "+
			"Only removing %s makes open what is shared here", ErrLost, dir, id, statePath(dir), markPath(dir))
	}
	return fmt.Errorf("%w: there is no %s", ErrNotPrivate, statePath(dir))
}

// load reads the state of dir; ErrNotPrivate without one, ErrLost if there was one.
func load(dir string) (*state, error) {
	path := statePath(dir)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, absent(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("read the swarm's state: %w", err)
	}
	if info.Size() > maxState {
		return nil, fmt.Errorf("read the swarm's state: %s has %d bytes, at most %d", path, info.Size(), maxState)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the swarm's state: %w", err)
	}
	st := &state{}
	if err := json.Unmarshal(b, st); err != nil {
		return nil, fmt.Errorf("read the swarm's state: %s: %w; restore it, or remove it and join again", path, err)
	}
	if st.Version != 1 {
		return nil, fmt.Errorf("read the swarm's state: %s has version %d, this shoal knows 1", path, st.Version)
	}
	if st.Invites == nil {
		st.Invites = map[string]*inviteState{}
	}
	if st.Members == nil {
		st.Members = map[string]*memberState{}
	}
	return st, nil
}

func (st *state) save(dir string) error {
	b, err := json.MarshalIndent(st, "", "\t")
	if err == nil {
		err = writeFile(statePath(dir), append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("keep the swarm's state: %w", err)
	}
	return nil
}

// writeFile replaces a file whole with mode 0600: a crash leaves the old one or
// the new one.
func writeFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it is renamed, as it should
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes names in dir outlast a crash. Windows does that by itself, and
// opens no directory for it.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// met remembers a member, and forgets the one longest unseen when there are too many.
func (st *state) met(id peer.ID, m memberState) {
	if old := st.Members[id.String()]; old == nil && len(st.Members) >= maxMembers {
		oldest := ""
		for p, o := range st.Members {
			if oldest == "" || o.Seen.Before(st.Members[oldest].Seen) {
				oldest = p
			}
		}
		delete(st.Members, oldest)
	}
	if old := st.Members[id.String()]; old != nil {
		m.By = old.By // who brought it in, whoever renewed it since
	}
	st.Members[id.String()] = &m
}

// invite is the count of an invite, made when it is first seen. Those that have
// ended long ago make room; nil when there is none.
func (st *state) invite(id peer.ID, now time.Time) *inviteState {
	if in := st.Invites[id.String()]; in != nil {
		return in
	}
	if len(st.Invites) >= maxInvites {
		st.forgetEnded(now)
	}
	if len(st.Invites) >= maxInvites {
		return nil
	}
	in := &inviteState{}
	st.Invites[id.String()] = in
	return in
}

func (st *state) forgetEnded(now time.Time) {
	for p, in := range st.Invites {
		if now.After(in.Expires) {
			delete(st.Invites, p)
		}
	}
}

// mayUse reports whether one more use can be remembered.
func (st *state) mayUse(now time.Time) bool {
	room := func() bool {
		n := 0
		for _, in := range st.Invites {
			n += len(in.Used)
		}
		return n < maxUsed
	}
	if !room() {
		st.forgetEnded(now)
	}
	return room()
}
