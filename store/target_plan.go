package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// plansBucket holds, with Put, the replacements that are under way: the number
// of the new version's place and its plan. A plan is there from before names
// change until the old version is deleted and forgotten.
const plansBucket = "store/plans"

// plan is a replacement that is about to be made.
type plan struct {
	Partial  string // where the new version stands, and the old one when names were exchanged
	Aside    string // where the old version goes when names cannot be exchanged
	Dev, Ino uint64 // of the old version
}

const asideSuffix = ".shoal-old"

// newPlan looks at what stands at the target's final name.
func newPlan(t *target) (plan, error) {
	s, err := stateAt(t.final)
	if err != nil {
		return plan{}, diskErr("replace", t.final, err)
	}
	for i := range maxPartials {
		p := plan{Partial: t.partial, Aside: hiddenName(t.final, asideSuffix, i), Dev: s.Dev, Ino: s.Ino}
		if absent(p.Aside) == nil {
			return p, nil
		}
	}
	return plan{}, fmt.Errorf("replace %s: too many old versions are beside it, delete them: %w", t.final, ErrExists)
}

func (d *Disk) putPlan(place uint64, p plan) error {
	return d.Put(plansBucket, strconv.FormatUint(place, 10), p.append(nil))
}

func (p plan) append(b []byte) []byte {
	b = appendString(appendString(append(b, recordFormat), p.Partial), p.Aside)
	return appendUints(b, p.Dev, p.Ino)
}

func (d *Disk) dropPlan(place uint64) error {
	return d.Put(plansBucket, strconv.FormatUint(place, 10), nil)
}

func decodePlan(b []byte) (plan, error) {
	d := decoder{b: b}
	d.format()
	p := plan{Partial: string(d.bytes()), Aside: string(d.bytes()), Dev: d.uint(), Ino: d.uint()}
	return p, d.end("plan")
}

// plans are the replacements under way, by place.
func (d *Disk) plans() (map[uint64]plan, error) {
	all := map[uint64]plan{}
	err := d.view(func(t tx) error {
		b := t.in(valuesBucket).Bucket([]byte(plansBucket))
		if b == nil {
			return nil
		}
		return b.ForEach(func(k, v []byte) error {
			n, err := strconv.ParseUint(string(k), 10, 64)
			if err != nil {
				return fmt.Errorf("plan of place %q: %w", k, ErrDamaged)
			}
			all[n], err = decodePlan(v)
			return err
		})
	})
	return all, err
}

// endPlans ends the replacements that a crash interrupted: what was not begun is
// forgotten, so that the old version stands, and all else is carried out. What
// cannot be reached now, such as a disk that is not mounted, is tried again by
// the next Open.
func (d *Disk) endPlans() error {
	all, err := d.plans()
	if err != nil {
		return err
	}
	for n, p := range all {
		rec, err := d.placeRec(n)
		if errors.Is(err, ErrNotFound) {
			err = d.dropPlan(n)
		} else if err == nil {
			err = d.endPlan(n, rec, p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *Disk) placeRec(n uint64) (rec placeRec, err error) {
	err = d.view(func(t tx) (err error) {
		rec, err = t.place(n)
		return err
	})
	return rec, err
}

// stands tells whether what has a device and inode stands at path.
func stands(path string, dev, ino uint64) bool {
	s, err := stateAt(path)
	return err == nil && s.Dev == dev && s.Ino == ino
}

// endPlan ends one replacement.
func (d *Disk) endPlan(n uint64, rec placeRec, p plan) error {
	if d.enter(rec.Root) != nil {
		return nil // it is being written: its writer sees to it
	}
	defer d.leave(rec.Root)
	if _, err := os.Stat(filepath.Dir(rec.Target)); err != nil {
		return nil
	}
	free := absent(rec.Target) == nil
	switch {
	case rec.Kind == inPlace || stands(rec.Target, rec.Dev, rec.Ino): // only the old version is left to be deleted
	case free && stands(rec.Base, rec.Dev, rec.Ino): // between two renames; what has a plan is complete
		if err := d.layer.rename(rec.Base, rec.Target); err != nil {
			return nil
		}
		_ = syncDir(filepath.Dir(rec.Target)) // a crash here is ended the same way
	case free && stands(p.Aside, p.Dev, p.Ino): // and the new version was taken away
		_ = d.layer.rename(p.Aside, rec.Target)
		return d.dropPlan(n)
	default:
		return d.dropPlan(n)
	}
	if rec.Kind == partial && d.recoverPlace(n) != nil {
		return nil // it is served all the same, and the next Open tries again
	}
	for _, old := range []string{p.Partial, p.Aside} {
		if stands(old, p.Dev, p.Ino) {
			d.eraseOld(rec.Target, old)
		}
	}
	if _, err := d.forgetOthers(rec, n); err != nil {
		return err
	}
	return d.dropPlan(n)
}

// eraseOld deletes what is of a known version in old.
func (d *Disk) eraseOld(path, old string) {
	known, err := d.versionsOf(path)
	if err != nil || len(known) == 0 {
		return // it stays
	}
	s := survey{layer: d.layer, passed: map[string]passed{}, versions: known} // the new one is the latest
	if s.look(context.Background(), old, d.cfg.Hashers) == nil {
		s.erase(old)
	}
}
