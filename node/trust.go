package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
)

// A publisher's key is trusted at first use, for a host and a name: whoever
// signed what was first fetched there. From then on another key, or a version
// older than one that was seen, is refused until the user decides by From.

const publishersBucket = "publishers"

// trusted is what is remembered of a name at a host.
type trusted struct {
	Publisher string    `json:"publisher"`
	Since     time.Time `json:"since"`
	Sequence  uint64    `json:"sequence"` // the highest that was seen
	Root      string    `json:"root"`     // of that version
	Seen      time.Time `json:"seen"`     // for the first time
}

// trust decides whether a manifest counts that names a host as where it is from,
// and remembers it. What is known of the hosts of its origins counts as well:
// nobody else speaks of a name there. An error says why it does not count.
func (n *Node) trust(now time.Time, s *merkle.Signed, host string, from []string) (Trust, error) {
	n.trusting.Lock()
	defer n.trusting.Unlock()
	hosts := []string{host}
	for _, u := range s.Origins {
		if h := hostOf(u); !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	t := Trust{Host: host, Since: now, First: true}
	values := map[string][]byte{}
	for i, h := range hosts {
		old, err := n.trustedAt(h, s.Name)
		if err != nil {
			return Trust{}, err
		}
		next, before, err := judge(now, old, s, from)
		if err != nil {
			if old != nil {
				err = fmt.Errorf("%w for %q at %s", err, s.Name, h)
			}
			return Trust{}, err
		}
		if before != "" {
			t.Before = before
		}
		if i == 0 {
			t.Since, t.First = next.Since, old == nil
		}
		if changed := old == nil || next != *old; changed && (i == 0 || old != nil) {
			if values[trustKey(h, s.Name)], err = json.Marshal(next); err != nil {
				return Trust{}, err
			}
		}
	}
	if len(values) == 0 {
		return t, nil
	}
	if err := n.store.PutAll(publishersBucket, values); err != nil {
		return Trust{}, fmt.Errorf("its key cannot be remembered: %w", err)
	}
	return t, nil
}

// judge holds a manifest to what is remembered, nil for nothing. before is what
// was trusted until now and is not any more, by the user's word.
func judge(now time.Time, old *trusted, s *merkle.Signed, from []string) (next trusted, before string, err error) {
	publisher := s.Publisher.String()
	next = trusted{Publisher: publisher, Since: now, Sequence: s.Sequence, Root: s.Root.String(), Seen: now}
	decided := slices.Contains(from, publisher)
	if len(from) > 0 && !decided {
		return next, "", fmt.Errorf("%v has signed it, which is not the key given by --from", publisher)
	}
	if old == nil {
		return next, "", nil
	}
	switch {
	case old.Publisher != publisher:
		before = fmt.Sprintf("the key %s, trusted since %s,", old.Publisher, day(old.Since))
		err = fmt.Errorf("%v has signed it, but %s has been trusted since %s", publisher, old.Publisher, day(old.Since))
	case s.Sequence < old.Sequence:
		before = fmt.Sprintf("the newer sequence %d, known since %s,", old.Sequence, day(old.Seen))
		err = fmt.Errorf("it is old: its sequence is %d, and %d has been known since %s", s.Sequence, old.Sequence, day(old.Seen))
	case s.Sequence == old.Sequence && next.Root != old.Root:
		before = fmt.Sprintf("another version with the sequence %d, known since %s,", old.Sequence, day(old.Seen))
		err = fmt.Errorf("its publisher has signed two versions with the sequence %d, and the other has been known since %s", s.Sequence, day(old.Seen))
	case s.Sequence == old.Sequence:
		return *old, "", nil
	}
	if old.Publisher == publisher {
		next.Since = old.Since
	}
	if decided {
		err = nil
	}
	return next, before, err
}

// day is a time as words have it.
func day(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

func trustKey(host, name string) string { return host + " " + name }

// trustedAt is what is remembered of a name at a host; nil for nothing.
func (n *Node) trustedAt(host, name string) (*trusted, error) {
	b, err := n.store.Get(publishersBucket, trustKey(host, name))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	var t trusted
	if err == nil {
		err = json.Unmarshal(b, &t)
	}
	if err != nil {
		return nil, fmt.Errorf("who is trusted cannot be read: %w", err)
	}
	return &t, nil
}
