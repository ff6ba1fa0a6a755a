package exchange

import (
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/exchange/pb"
	"github.com/shoal-p2p/shoal/merkle"
)

// had has a node get a piece that the first peer has and the second one lacks.
func had(t *testing.T, n *node, p []*rawPeer) *Root {
	c := makeContent(t, 71, 4<<20, merkle.UnixFSv1)
	r, events := n.open(c.root)
	r.Hold(Held{Table: c.table, Have: make([]bool, len(c.pieces)), Tree: c.tree})
	for i, q := range p {
		q.greet(uint64(i + 1))
		q.say(openMessage(1, c.root, len(c.pieces), false))
		await[Opened](t, events)
	}
	p[0].say(haveMessage(1, false, []uint32{0, 1}))
	await[Haves](t, events)
	time.Sleep(time.Second)
	r.Have(0)
	return r
}

// Who has a piece hears later that another one has it too than who lacks it.
func TestPatient(t *testing.T) {
	rawInVirtualTime(t, 2, Config{}, func(t *testing.T, n *node, p []*rawPeer) {
		start := time.Now()
		had(t, n, p)
		start = start.Add(time.Second)
		listen(p[1], (*pb.Message).GetHave)
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("who lacks it hears after %v", took)
		}
		listen(p[0], (*pb.Message).GetHave)
		if took := time.Since(start); took < patientFor-50*time.Millisecond || took > patientFor+150*time.Millisecond {
			t.Errorf("who has it hears after %v", took)
		}
	})
}

// Who has all judges by it who passes on what he gives, so he hears soon.
func TestPatientButSeeds(t *testing.T) {
	rawInVirtualTime(t, 2, Config{}, func(t *testing.T, n *node, p []*rawPeer) {
		r := had(t, n, p)
		p[0].say(haveMessage(1, true, []uint32{1, 1}))
		listen(p[0], (*pb.Message).GetHave)
		time.Sleep(time.Second)
		start := time.Now()
		r.Have(1)
		listen(p[0], (*pb.Message).GetHave)
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("it hears after %v", took)
		}
	})
}

// Where enough have a piece, who lacks it hears later, too.
func TestPatientWhereEnoughHave(t *testing.T) {
	rawInVirtualTime(t, enough+1, Config{}, func(t *testing.T, n *node, p []*rawPeer) {
		r := had(t, n, p)
		for _, q := range p[:enough] {
			q.say(haveMessage(1, false, []uint32{1, 1}))
		}
		time.Sleep(time.Second)
		start := time.Now()
		r.Have(1)
		for h := listen(p[enough], (*pb.Message).GetHave); h.Runs[0] != 1; {
			h = listen(p[enough], (*pb.Message).GetHave)
		}
		if took := time.Since(start); took < patientFor-50*time.Millisecond || took > patientFor+150*time.Millisecond {
			t.Errorf("it hears after %v", took)
		}
	})
}

// What is patient goes with the next message, and before it.
func TestPatientRides(t *testing.T) {
	for name, next := range map[string]func(r *Root, p *rawPeer){
		"an answer":        func(_ *Root, p *rawPeer) { p.say(&pb.Message{Body: &pb.Message_Ping{Ping: &pb.Ping{Nonce: 7}}}) },
		"taking it back":   func(r *Root, _ *rawPeer) { r.withdraw(r.table.Pieces[0].Key) },
		"what others lack": func(r *Root, _ *rawPeer) { r.Have(1) },
	} {
		t.Run(name, func(t *testing.T) {
			rawInVirtualTime(t, 2, Config{}, func(t *testing.T, n *node, p []*rawPeer) {
				r := had(t, n, p)
				time.Sleep(50 * time.Millisecond)
				start := time.Now()
				next(r, p[0])
				if h := listen(p[0], (*pb.Message).GetHave); len(h.Runs) != 2 || h.Runs[0] != 0 {
					t.Errorf("told %v first", h)
				}
				if m := p[0].hear(); m.GetPong() == nil && m.GetUnhave() == nil && m.GetHave() == nil {
					t.Errorf("told %v then", m)
				}
				if took := time.Since(start); took > 100*time.Millisecond {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// Nobody is told that a piece is coming that he has.
func TestPartialToThoseWhoLackIt(t *testing.T) {
	rawInVirtualTime(t, 2, Config{}, func(t *testing.T, n *node, p []*rawPeer) {
		y := newRelay(t, n, p)
		y.r.Pass(y.from, 0)
		if h := listen(p[1], (*pb.Message).GetHave); len(h.Partial) != 1 {
			t.Errorf("who lacks it was told %v", h)
		}
		time.Sleep(time.Second)
		p[0].say(&pb.Message{Body: &pb.Message_Ping{Ping: &pb.Ping{Nonce: 7}}})
		for {
			m := p[0].hear()
			if m.GetHave() != nil {
				t.Fatalf("who has it was told %v", m)
			}
			if m.GetPong() != nil {
				return
			}
		}
	})
}
