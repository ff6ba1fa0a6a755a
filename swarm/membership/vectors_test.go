package membership

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/vectors.txt anew")

// TestVectors holds testdata/vectors.txt to the code: keys, links, a list and an
// invite that another implementation can compare itself with.
func TestVectors(t *testing.T) {
	t.Parallel()
	s := newSwarm(t)
	var b strings.Builder
	line := func(name string, v any) { fmt.Fprintf(&b, "%s\n%v\n\n", name, v) }
	fmt.Fprintf(&b, "# Vectors of PROTOCOL.md, membership. Ed25519 seeds and bytes are hex; times are seconds since 1970.\n\n")
	for _, p := range []struct {
		name string
		who  who
	}{{"authority", s.authority}, {"founder", s.founder}, {"member", s.member}, {"invite", s.invite}, {"guest", s.guest}} {
		line(p.name+" seed", hex.EncodeToString(p.who.seed[:]))
		line(p.name+" id", p.who.id)
	}
	line("now", epoch.Unix())
	line("founder chain: all roles, 10 years", hex.EncodeToString(AppendChain(nil, s.founderChain)))
	line("member chain: member,cache, 1 year", hex.EncodeToString(AppendChain(nil, s.memberChain)))
	line("invite chain: member,publisher, 7 days, 10 uses", hex.EncodeToString(AppendChain(nil, s.inviteChain)))
	line("guest chain, provisional, issued an hour later", hex.EncodeToString(AppendChain(nil, s.provisional)))
	r := &Register{Swarm: s.authority.id}
	if err := r.Revoke(epoch, s.first, s.member.id, s.invite.id); err != nil {
		t.Fatal(err)
	}
	line("list by the founder: member and invite, sequence 1", hex.EncodeToString(r.Raw()))
	digest := r.Digest()
	line("digest of that list", hex.EncodeToString(digest[:]))
	line("invite string: studio, one address", s.token())

	path := filepath.Join("testdata", "vectors.txt")
	if *rewrite {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != b.String() {
		t.Errorf("the code makes\n%s", b.String())
	}
}
