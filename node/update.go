package node

import "github.com/shoal-p2p/shoal/store"

// updated is what a writer that has finished replaced, nil if nothing.
func updated(w store.Writer) *store.Changes {
	u, ok := w.(store.Updater)
	if !ok {
		return nil
	}
	c, did := u.Changes()
	if !did {
		return nil
	}
	return &c
}

// noteUpdate puts what was replaced into the result. The versions that are gone
// are neither served nor announced after Fetch; the store has forgotten them
// already, so nothing of them was served since the switch.
func (d *download) noteUpdate(c *store.Changes) {
	if c == nil {
		return
	}
	d.replaced = c.Gone
	d.result.Update = &Update{Added: c.Added, Changed: c.Changed, Removed: c.Removed, Same: c.Same, Left: c.Left}
}
