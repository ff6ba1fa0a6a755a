package node

import (
	"context"
	"crypto/x509"
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/shoal-p2p/shoal/cdnfallback"
	"github.com/shoal-p2p/shoal/cdnfallback/origintest"
	"github.com/shoal-p2p/shoal/probe/nat"
)

func addrsOf(texts ...string) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, s := range texts {
		out = append(out, ma.StringCast(s))
	}
	return out
}

// judged is a Check as it should be: words in detail and hint.
type judged struct {
	got   Check
	state string
	words string
}

// checkAll holds what is judged to what it should be. A check that is not ok says what to do.
func checkAll(t *testing.T, all map[string]judged) {
	t.Helper()
	for name, tt := range all {
		text := tt.got.Detail + " " + tt.got.Hint
		for w := range strings.FieldsSeq(tt.words) {
			if tt.got.State != tt.state || !strings.Contains(text, w) {
				t.Errorf("%s: got %+v; want %s with %q", name, tt.got, tt.state, tt.words)
				break
			}
		}
		if tt.got.Check == "" || tt.got.State != CheckOK && tt.got.Hint == "" {
			t.Errorf("%s: %+v does not say what to do", name, tt.got)
		}
	}
}

func TestJudgeWeb(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	until := func(d time.Duration) *x509.Certificate { return &x509.Certificate{NotAfter: now.Add(d)} }
	over, plain := addrsOf("/ip4/0.0.0.0/tcp/443/tls/ws"), addrsOf("/ip4/127.0.0.1/tcp/8080/ws")
	told := addrsOf("/dns4/a.example/tcp/443/tls/ws")
	const year = 365 * 24 * time.Hour
	checkAll(t, map[string]judged{
		"server":           {judgeWeb(webFound{listen: over, told: told, leaf: until(year), asked: 2}, now), CheckOK, "wss 443, dialled as /dns4/a.example/tcp/443/tls/ws; 2 peers until 2028"},
		"ends soon":        {judgeWeb(webFound{listen: over, told: told, leaf: until(time.Hour)}, now), CheckWarning, "renew"},
		"has ended":        {judgeWeb(webFound{listen: over, told: told, leaf: until(-time.Hour)}, now), CheckFailing, "renew"},
		"no name":          {judgeWeb(webFound{listen: over, leaf: until(year)}, now), CheckWarning, "--address"},
		"plain, no name":   {judgeWeb(webFound{listen: plain}, now), CheckWarning, "ws 8080 --address"},
		"plain":            {judgeWeb(webFound{listen: plain, told: told}, now), CheckOK, "ws 8080, dialled as"},
		"by proxy":         {judgeWeb(webFound{dialled: 2, proxied: 1, known: 3, hosts: 2}, now), CheckOK, "2 peers connected by it, 1 of them through the proxy"},
		"not needed":       {judgeWeb(webFound{other: 1, known: 1}, now), CheckOK, "not needed"},
		"nobody known":     {judgeWeb(webFound{}, now), CheckOK, "not tried"},
		"nobody listens":   {judgeWeb(webFound{known: 2}, now), CheckWarning, "no known node listens for it --bootstrap"},
		"does not connect": {judgeWeb(webFound{known: 2, hosts: 1, err: errors.New("a: refused")}, now), CheckFailing, "no connection to a: refused HTTPS_PROXY --ca"},
	})
}

func TestJudgeNetwork(t *testing.T) {
	t.Parallel()
	both := addrsOf("/ip4/0.0.0.0/tcp/7461", "/ip4/0.0.0.0/udp/7461/quic-v1", "/ip6/::/tcp/7461")
	proxy := &url.URL{Scheme: "http", Host: "proxy:3128"}
	set := map[string]string{"HTTPS_PROXY": "http://proxy:3128"}
	cone := nat.Type{Mapping: nat.Independent, Filtering: nat.ByPort}
	checkAll(t, map[string]judged{
		"no port":          {judgePorts(nil, "unknown"), CheckFailing, "listening nowhere --listen"},
		"public ports":     {judgePorts(both, "public"), CheckOK, "tcp 7461, quic-v1 7461, reached from outside"},
		"private ports":    {judgePorts(both, "private"), CheckWarning, "not reached forward"},
		"unknown ports":    {judgePorts(both, "unknown"), CheckWarning, "nobody outside --bootstrap"},
		"loopback":         {judgePorts(addrsOf("/ip4/127.0.0.1/tcp/7461"), "unknown"), CheckOK, "on this machine only"},
		"no address":       {judgeAddresses(nil), CheckWarning, "nobody has said"},
		"peers":            {judgePeers(map[string]int{"lan": 1, "relay": 2}, 3, true), CheckOK, "3 peers connected: 1 on the LAN, 0 over the internet, 2 by relay"},
		"dead bootstrap":   {judgePeers(nil, 2, true), CheckFailing, "none of 2 known nodes answers firewall"},
		"lonely":           {judgePeers(nil, 0, true), CheckWarning, "no other node is known --bootstrap"},
		"lonely, no mdns":  {judgePeers(nil, 0, false), CheckWarning, "which is off here"},
		"too few for nat":  {judgeNAT(nat.Type{}, findings{}), CheckWarning, "it takes two peers that are public, at two addresses, and there is none --bootstrap"},
		"nat not found":    {judgeNAT(nat.Type{}, findings{err: errors.New("no socket")}), CheckWarning, "no socket again"},
		"udp blocked":      {judgeNAT(nat.Type{Mapping: nat.Blocked}, findings{}), CheckWarning, "UDP is blocked firewall"},
		"symmetric":        {judgeNAT(nat.Type{Mapping: nat.Dependent, Filtering: nat.ByPort}, findings{}), CheckWarning, "symmetric forward the ports"},
		"punch, public":    {judgePunch(cone, "public"), CheckOK, "not needed"},
		"punch, open":      {judgePunch(nat.Type{Mapping: nat.Independent, Filtering: nat.Open}, "private"), CheckOK, "not needed"},
		"punch, cone":      {judgePunch(cone, "private"), CheckOK, "all but those behind a symmetric NAT"},
		"punch, symmetric": {judgePunch(nat.Type{Mapping: nat.Dependent}, "private"), CheckWarning, "possible only with relay or an origin"},
		"punch, blocked":   {judgePunch(nat.Type{Mapping: nat.Blocked}, "private"), CheckWarning, "not by UDP"},
		"punch, unknown":   {judgePunch(nat.Type{}, "unknown"), CheckWarning, "not known see nat"},
		"relayed":          {judgeRelay([]string{"12D3x"}, "private"), CheckOK, "reached over 12D3x"},
		"relay, public":    {judgeRelay(nil, "public"), CheckOK, "not needed"},
		"relay, none":      {judgeRelay(nil, "private"), CheckWarning, "no relay --relay"},
		"relay, unknown":   {judgeRelay(nil, "unknown"), CheckOK, "not known"},
		"dht":              {judgeDHT("server", 3, 0, time.Second/2, false), CheckOK, "server, 3 peers in the routing table, a lookup takes 0.50 s"},
		"dht, empty":       {judgeDHT("client", 0, 0, 0, false), CheckWarning, "routing table is empty --bootstrap"},
		"dht, nobody":      {judgeDHT("client", 0, 1, 0, false), CheckWarning, "no known node answers see peers"},
		"dht, endless":     {judgeDHT("client", 9, 0, 10*time.Second, true), CheckWarning, "no end after 10 s"},
		"no proxy":         {judgeProxy(nil, nil, nil, 0), CheckOK, "none in the environment"},
		"proxy, not https": {judgeProxy(map[string]string{"NO_PROXY": "x"}, nil, nil, 0), CheckOK, "none for https"},
		"proxy, peers":     {judgeProxy(set, proxy, nil, 1), CheckOK, "through proxy:3128"},
		"proxy, nobody":    {judgeProxy(set, proxy, nil, 0), CheckWarning, "through proxy:3128 --origin websocket"},
		"proxy, dead":      {judgeProxy(set, proxy, errors.New("refused"), 0), CheckFailing, "proxy:3128 does not answer: refused HTTPS_PROXY"},
		"proxy, broken":    {judgeProxy(set, nil, errors.New("parse"), 0), CheckFailing, "the proxy of the environment: parse"},
	})
}

func TestJudgeOrigin(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	origin := func(r cdnfallback.Report, err error) Check {
		return judgeOrigin(originFound{"http://cdn/f", r, err}, now)
	}
	good := cdnfallback.Report{Kind: cdnfallback.File, Found: true, Ranges: true, Tree: true, Proto: "HTTP/2.0", TLS: "TLS 1.3", Expires: now.AddDate(0, 2, 0), Took: 20 * time.Millisecond}
	plain, ending, whole := good, good, good
	plain.Tree, plain.TLS, plain.Expires = false, "", time.Time{}
	ending.Expires = now.AddDate(0, 0, 3)
	whole.Ranges = false
	fault := func(kind error) error { return &cdnfallback.Error{Origin: "cdn", Kind: kind, Err: errors.New("x")} }
	checkAll(t, map[string]judged{
		"origin":            {origin(good, nil), CheckOK, "http://cdn/f: answers in 20 ms, ranges, HTTP/2.0, TLS 1.3, a tree beside it"},
		"origin, no tree":   {origin(plain, nil), CheckOK, "ranges, HTTP/2.0 shoal add --tree"},
		"origin, no ranges": {origin(whole, nil), CheckWarning, "no ranges Accept-Ranges"},
		"origin, old":       {origin(ending, nil), CheckWarning, "ends in 3 days renew"},
		"origin, directory": {origin(cdnfallback.Report{Kind: cdnfallback.Tree}, nil), CheckOK, "nothing at the URL itself"},
		"origin, gateway":   {origin(cdnfallback.Report{Kind: cdnfallback.Gateway, Found: true}, nil), CheckOK, "a gateway"},
		"origin, gone":      {origin(good, fault(cdnfallback.ErrGone)), CheckFailing, "not there uploaded"},
		"origin, tls":       {origin(good, fault(cdnfallback.ErrTLS)), CheckFailing, "TLS failed --ca"},
		"origin, broken":    {origin(good, fault(cdnfallback.ErrServer)), CheckFailing, "unexpected answer curl"},
	})
}

func TestJudgeMachine(t *testing.T) {
	t.Parallel()
	checkAll(t, map[string]judged{
		"no clock":          {judgeClock(nil), CheckWarning, "nobody to compare it with"},
		"clock":             {judgeClock([]reading{{time.Second, time.Second}}), CheckOK, "right within 2.00 s, by 1 other clock"},
		"clock behind":      {judgeClock([]reading{{time.Minute, time.Second}}), CheckWarning, "1m0s behind NTP"},
		"clock far ahead":   {judgeClock([]reading{{-time.Hour, time.Second}}), CheckFailing, "1h0m0s ahead"},
		"one liar":          {judgeClock([]reading{{time.Hour, 0}, {0, 0}, {time.Second, 0}}), CheckOK, "right within"},
		"unsure":            {judgeClock([]reading{{time.Minute, 40 * time.Second}}), CheckOK, "right within"},
		"disk":              {judgeDisk("/d", 5e9, 3*time.Millisecond, nil), CheckOK, "/d: 5.0 GB free, 1 MiB is durable after 3 ms"},
		"disk, read-only":   {judgeDisk("/d", 5e9, 0, os.ErrPermission), CheckFailing, "cannot be written --dir"},
		"disk, full":        {judgeDisk("/d", 1e6, 0, nil), CheckFailing, "make room"},
		"disk, nearly full": {judgeDisk("/d", 1e9, 0, nil), CheckWarning, "make room"},
		"disk, slow":        {judgeDisk("/d", 5e9, time.Second, nil), CheckWarning, "slow"},
		"disk, unknown":     {judgeDisk("/d", -1, 0, nil), CheckOK, "/d: 1 MiB is durable"},
		"buffers":           {judgeBuffers(7<<20, 8<<20), CheckOK, "7.0 MiB in and 8.0 MiB out"},
		"small buffers":     {judgeBuffers(212992, 212992), CheckWarning, "0.2 MiB sysctl -w net.core.rmem_max=7500000"},
		"no sysctl":         {judgeBuffers(-1, -1), CheckOK, "does not tell"},
		"files":             {judgeFiles(65536), CheckOK, "65536"},
		"some files":        {judgeFiles(1024), CheckWarning, "ulimit"},
		"few files":         {judgeFiles(100), CheckFailing, "ulimit"},
		"no limit of files": {judgeFiles(-1), CheckOK, "no limit"},
	})
}

// check finds one line.
func check(t *testing.T, all []Check, name string) Check {
	t.Helper()
	for _, c := range all {
		if c.Check == name {
			return c
		}
	}
	t.Fatalf("no check %s in %+v", name, all)
	return Check{}
}

// A node with a peer and an origin is well; the peer answers its questions.
func TestDoctor(t *testing.T) {
	t.Parallel()
	o := origintest.New()
	o.Text("/f", "0123456789")
	listen := func(c *Config) { c.Listen = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"} }
	a := start(t, listen)
	b := start(t, listen, through(a))
	checks, err := b.Doctor(t.Context(), DoctorOptions{Origins: []string{serveOrigin(t, o) + "/f"}})
	must(t, err)
	for name, words := range map[string]string{
		"ports": "quic-v1", "addresses": "/ip4/127.0.0.1/", "peers": "1 peer connected: 1 on the LAN", "dht": "1 peer in the routing table",
		"origin": "ranges", "clock": "right within", "disk": "durable", "mdns": "off",
	} {
		if c := check(t, checks, name); c.State != CheckOK || !strings.Contains(c.Detail, words) {
			t.Errorf("%+v; want ok with %q", c, words)
		}
	}
	if c := check(t, checks, "nat"); c.State != CheckWarning || !strings.Contains(c.Detail, "two peers that are public") {
		t.Errorf("%+v; want that two public peers are missing", c)
	}
	if len(quicSockets(b.udp, b.host.Network().ListenAddresses())) != 1 {
		t.Error("the node's own UDP port has no probes")
	}
}

// A doctor that is told to stop does, and one without a network says so.
func TestDoctorStops(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	if _, err := start(t).Doctor(ctx, DoctorOptions{}); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
	off := start(t, func(c *Config) { c.Offline = true })
	if _, err := off.Doctor(t.Context(), DoctorOptions{}); !errors.Is(err, ErrOffline) {
		t.Errorf("got %v", err)
	}
	if _, err := start(t).Doctor(ctx, DoctorOptions{Bootstrap: []string{"x"}}); !errors.Is(err, ErrUsage) {
		t.Errorf("got %v", err)
	}
}
