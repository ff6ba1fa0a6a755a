package membership

import (
	"bytes"
	"testing"

	"github.com/libp2p/go-libp2p/core/record"
)

// What is read is written again as the same bytes, and what is written is read again.
func FuzzLink(f *testing.F) {
	s := newSwarm(f)
	for _, c := range []Chain{s.provisional, s.memberChain} {
		for _, link := range c {
			env, err := record.UnmarshalEnvelope(link)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(env.RawPayload)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, rec := range []record.Record{new(Grant), new(Invite), new(Provisional), new(List)} {
			if rec.UnmarshalRecord(b) != nil {
				continue
			}
			again, err := rec.MarshalRecord()
			if err != nil || !bytes.Equal(again, b) {
				t.Errorf("%T: %x is written as %x, %v", rec, b, again, err)
			}
		}
	})
}

func FuzzChain(f *testing.F) {
	s := newSwarm(f)
	f.Add(AppendChain(nil, s.provisional))
	f.Add(AppendChain(nil, s.memberChain))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseChain(b)
		if err != nil {
			return
		}
		if again := AppendChain(nil, c); !bytes.Equal(again, b) {
			t.Errorf("%x is written as %x", b, again)
		}
		// Only the chains above are signed by this authority.
		if m, err := Check(epoch, s.authority.id, s.member.id, c, nil); err == nil && !bytes.Equal(b, AppendChain(nil, s.memberChain)) {
			for i := range c { // an envelope may be written in more than one way, but says the same
				if _, _, err := signerOf(c[i]); err != nil {
					t.Errorf("%x proves %+v", b, m)
				}
			}
		}
	})
}

func FuzzList(f *testing.F) {
	s := newSwarm(f)
	r := &Register{Swarm: s.authority.id}
	if err := r.Revoke(epoch, s.first, s.member.id, s.invite.id); err != nil {
		f.Fatal(err)
	}
	f.Add(r.Raw())
	f.Fuzz(func(t *testing.T, b []byte) {
		chain, env, err := parseList(b)
		if err != nil {
			return
		}
		if again := appendList(chain, env); !bytes.Equal(again, b) {
			t.Errorf("%x is written as %x", b, again)
		}
		// No panic, and nothing is taken in that is not signed.
		fresh := &Register{Swarm: s.authority.id}
		if _, err := fresh.Offer(epoch, b); err == nil && !fresh.Has(s.member.id) {
			t.Errorf("%x is a list", b)
		}
	})
}

func FuzzToken(f *testing.F) {
	s := newSwarm(f)
	f.Add(s.token().String())
	f.Fuzz(func(t *testing.T, text string) {
		tok, err := ParseToken(text)
		if err != nil {
			return
		}
		again, err := ParseToken(tok.String())
		if err != nil || again.String() != tok.String() {
			t.Errorf("%q is written as %q, %v", text, tok.String(), err)
		}
		_, _ = CheckInvite(epoch, tok.Chain, nil)
	})
}
