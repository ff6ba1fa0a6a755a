package plan

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

func seen(by, from string, t Transport, local uint16, at string) Sight {
	return Sight{By: by, From: netip.MustParseAddr(from), Transport: t, Local: local, Addr: netip.MustParseAddrPort(at)}
}

func TestMapping(t *testing.T) {
	t.Parallel()
	const a, b, us = "11.0.0.2", "11.0.0.4", "11.0.0.11:"
	for _, c := range []struct {
		name   string
		sights []Sight
		want   Mapping
		reach  Reachability
	}{
		{"nobody", nil, Unknown, Uncertain},
		{"near observers say nothing", []Sight{seen("x", "192.168.1.9", UDP, 7461, "192.168.1.2:7461")}, Unknown, Uncertain},
		{"other transport", []Sight{seen("a", a, TCP, 7461, us+"7461")}, Unknown, Private},
		{"one, port kept", []Sight{seen("a", a, UDP, 7461, us+"7461")}, Kept, Private},
		{"one, port changed", []Sight{seen("a", a, UDP, 7461, us+"900")}, Changed, Private},
		{"two agree", []Sight{seen("a", a, UDP, 7461, us+"900"), seen("b", b, UDP, 7461, us+"900")}, Same, Private},
		{"two differ", []Sight{seen("a", a, UDP, 7461, us+"900"), seen("b", b, UDP, 7461, us+"901")}, Differs, Private},
		{"two at one address say as much as one", []Sight{seen("a", a, UDP, 7461, us+"900"), seen("b", a, UDP, 7461, us+"901")}, Changed, Private},
		{"seen where we are", []Sight{seen("a", a, UDP, 7461, "11.0.0.9:7461")}, None, Uncertain},
		{"no port", []Sight{seen("a", a, UDP, 0, us+"900")}, Unknown, Private},
		{"two ports of ours say nothing together", []Sight{seen("a", a, UDP, 7461, us+"900"), seen("b", b, UDP, 7462, us+"901")}, Changed, Private},
	} {
		var book Book
		book.OnInterfaces([]netip.Addr{netip.MustParseAddr("192.168.1.2"), netip.MustParseAddr("11.0.0.9")})
		for _, s := range c.sights {
			book.OnSight(s)
		}
		if got := book.Mapping(UDP); got != c.want {
			t.Errorf("%s: mapping %v, want %v", c.name, got, c.want)
		}
		if got := book.Reachability(); got != c.reach {
			t.Errorf("%s: reachability %v, want %v", c.name, got, c.reach)
		}
	}
}

// Who gets out by WebSocket alone needs a relay to be reached; whoever else has
// seen the node says more.
func TestReachabilityByWeb(t *testing.T) {
	t.Parallel()
	var b Book
	own := netip.MustParseAddr("11.0.0.9")
	b.OnInterfaces([]netip.Addr{own})
	b.OnWeb()
	if got := b.Reachability(); got != Private {
		t.Errorf("by WebSocket alone: %v", got)
	}
	b.OnSight(seen("a", "11.0.0.2", TCP, 7461, "11.0.0.9:7461"))
	if got := b.Reachability(); got != Uncertain {
		t.Errorf("seen at its own address: %v", got)
	}
	b.Forget("a")
	if b.OnInterfaces([]netip.Addr{netip.MustParseAddr("11.0.0.8")}); b.Reachability() != Private {
		t.Error("another address, and public by that")
	}
}

// A node whose address is its own is public when a peer has dialled it back, and
// not because it believes so.
func TestReachability(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	var b Book
	b.OnInterfaces([]netip.Addr{netip.MustParseAddr("11.0.0.9")})
	if ask, _ := b.Ask(now); ask {
		t.Error("asks before anybody saw it")
	}
	b.OnSight(seen("a", "11.0.0.2", TCP, 7461, "11.0.0.9:7461"))
	if ask, _ := b.Ask(now); !ask || b.Reachability() != Uncertain {
		t.Error("does not ask, or is sure already")
	}
	b.OnAsked(now)
	if ask, again := b.Ask(now.Add(time.Second)); ask || again != now.Add(askAgain) {
		t.Errorf("asks again at %v", again)
	}
	b.OnAnswer(now, false)
	if b.Reachability() != Private {
		t.Error("behind a firewall and not private")
	}
	b.OnAnswer(now, true)
	if ask, again := b.Ask(now.Add(time.Minute)); b.Reachability() != Public || ask || again != now.Add(confirmed) {
		t.Error("confirmed and not public")
	}
	b.OnAnswer(now, false)
	if b.Reachability() != Public {
		t.Error("one failure outweighs a success")
	}
	b.OnAnswer(now, false)
	if b.Reachability() != Private {
		t.Error("two failures do not")
	}
	gone, changed := b.OnInterfaces([]netip.Addr{netip.MustParseAddr("11.0.0.8")})
	if !changed || len(gone) != 1 || gone[0] != netip.MustParseAddr("11.0.0.9") {
		t.Errorf("gone %v, changed %v", gone, changed)
	}
	if b.Forget("a"); b.Reachability() != Uncertain {
		t.Error("another address, the same certainty")
	}
}

func TestOffer(t *testing.T) {
	t.Parallel()
	var b Book
	b.OnSight(seen("a", "11.0.0.2", UDP, 7461, "11.0.0.11:900"))
	b.OnSight(seen("b", "11.0.0.4", UDP, 7461, "11.0.0.11:901"))
	want := []netip.AddrPort{netip.MustParseAddrPort("11.0.0.11:901"), netip.MustParseAddrPort("11.0.0.11:900")}
	if got := b.Offer(UDP, 7461); !slices.Equal(got, want) {
		t.Errorf("UDP %v, want %v", got, want)
	}
	want = []netip.AddrPort{netip.MustParseAddrPort("11.0.0.11:7461")}
	if got := b.Offer(TCP, 7461); !slices.Equal(got, want) {
		t.Errorf("TCP, never seen: %v, want the same port %v", got, want)
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	kept, changed := Side{UDP: Kept, TCP: Kept}, Side{UDP: Changed}
	for _, c := range []struct {
		caller, called Side
		client         bool
	}{
		{kept, kept, true}, {changed, kept, true}, {kept, changed, false}, {changed, changed, true},
	} {
		if CallerIsClient(c.caller, c.called, 0) != c.client || CallerIsClient(c.caller, c.called, 1) == c.client {
			t.Errorf("%v calls %v: wrong role", c.caller, c.called)
		}
	}
	hard := func(s Side) Side { s.Hard = true; return s }
	for _, c := range []struct {
		caller, called Side
		want, callers  bool
	}{
		{hard(kept), hard(changed), true, false}, {hard(changed), hard(kept), true, true},
		{hard(changed), kept, false, true}, {hard(changed), hard(changed), false, true}, {hard(kept), hard(kept), false, false},
	} {
		if search, callers := Search(c.caller, c.called); search != c.want || callers != c.callers {
			t.Errorf("%v calls %v: search %v by %v", c.caller, c.called, search, callers)
		}
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	now := time.Unix(1000, 0)
	b := Budget{PerPair: 10 * mib, PerDay: 15 * mib}
	ab, ac := PairOf("b", "a"), PairOf("a", "c")
	if ab != PairOf("a", "b") {
		t.Fatal("a pair depends on who comes first")
	}
	take := func(p Pair, n int64, want bool) {
		t.Helper()
		if b.Take(now, p, n*mib) != want {
			t.Errorf("take %d of %v: %v", n, p, !want)
		}
	}
	take(ab, 10, true) // of 10 and signalling
	take(ab, 2, false)
	if spent, until := b.Spent(now, ab); !spent || until != now.Add(hour) {
		t.Errorf("spent %v until %v", spent, until)
	}
	take(ac, 8, false) // 7 beyond signalling, and the day has 6 left
	take(ac, 7, true)
	if spent, until := b.Spent(now, ac); !spent || until != now.Add(day) || b.Left(now, ac) != 0 {
		t.Errorf("spent %v until %v, %d left", spent, until, b.Left(now, ac))
	}
	now = now.Add(hour)
	take(ab, 1, true) // signalling is for everyone
	take(ab, 1, false)
	now = now.Add(day)
	take(ab, 11, true)
	if b.Total() != 29*mib { // 10, 7, 1 and 11
		t.Errorf("total %d", b.Total())
	}
	none := Budget{}
	if spent, _ := none.Spent(now, ab); !spent || !none.Take(now, ab, mib) || none.Take(now, ab, 1) {
		t.Error("without a budget there is more or less than signalling")
	}
}
