package node

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// TestOneFieldOneOption holds Config, config.toml, flags and environment together.
func TestOneFieldOneOption(t *testing.T) {
	t.Parallel()
	embedding := map[string]bool{"Dir": true, "more": true, "Offline": true, "Version": true, "Log": true, "Announced": true, "DialTimeout": true}
	options := Options()
	seen := map[string]bool{}
	fields := reflect.TypeFor[Config]()
	at := 0
	for i := range fields.NumField() {
		f := fields.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		if key == "-" {
			if !embedding[f.Name] {
				t.Errorf("Config.%s cannot be set by a user; is that meant?", f.Name)
			}
			continue
		}
		if at >= len(options) || options[at].Key != key || key == "" {
			t.Fatalf("Config.%s has key %q; Options has something else at %d", f.Name, key, at)
		}
		o := options[at]
		at++
		if seen[key] || o.Env() != "SHOAL_"+strings.ToUpper(strings.ReplaceAll(key, "-", "_")) || o.Usage == "" || o.Default == "" {
			t.Errorf("option %+v", o)
		}
		seen[key] = true
		if o.List != (f.Type.Kind() == reflect.Slice) || (o.Arg == "") != (f.Type.Kind() == reflect.Bool) {
			t.Errorf("Config.%s is a %s, its option is %+v", f.Name, f.Type, o)
		}
	}
	if at != len(options) {
		t.Errorf("options without a field: %+v", options[at:])
	}
}

// Every option can be set from each source, and the stronger one wins.
func TestSourcesInOrder(t *testing.T) {
	t.Parallel()
	ca := writeCA(t)
	const publisher = "12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5"
	values := map[string][3]string{ // file, environment, flag
		"listen":     {`["/ip4/1.1.1.1/tcp/1"]`, "/ip4/1.1.1.1/tcp/2, /ip4/1.1.1.1/tcp/3", "/ip4/1.1.1.1/tcp/4"},
		"address":    {`["/dns4/a.example/tcp/443/tls/ws"]`, "/dns4/b.example/tcp/443/tls/ws", "/dns4/c.example/tcp/443/tls/ws"},
		"tls-cert":   {`"a.pem"`, "b.pem", "c.pem"},
		"tls-key":    {`"a.key"`, "b.key", "c.key"},
		"bootstrap":  {`["` + peerA + `"]`, peerA + "," + peerA, peerA},
		"mdns":       {`"on"`, "off", "on"},
		"portmap":    {`"off"`, "on", "off"},
		"origin":     {`["http://a"]`, "http://b,http://c", "http://d"},
		"ca":         {`"` + ca + `"`, ca, ca},
		"upload":     {`"1Mbit/s"`, "2Mbit/s", "off"},
		"download":   {`"1Mbit/s"`, "2Mbit/s", "unlimited"},
		"store-max":  {`"1GB"`, "2GB", "off"},
		"lan":        {`["10.0.0.0/8"]`, "10.1.0.0/16,fd00::/8", "10.2.0.0/16"},
		"announce":   {`"roots"`, "files", "pieces"},
		"relay":      {`true`, "off", "true"},
		"relay-data": {`"1GB"`, "2GB", "off"},
		"relay-day":  {`"1GB"`, "2GB", "off"},
		"punch-hard": {`"on"`, "off", "on"},
		"create":     {`"studio"`, "films", "news"},
		"cache":      {`true`, "off", "true"},
		"from":       {`["` + publisher + `"]`, publisher, publisher},
		"prefetch":   {`["a.shoal"]`, "b.shoal,c.shoal", "d.shoal"},
		"join":       {`"-"`, "-", "-"},
		"authority":  {`"a.key"`, "b.key", "c.key"},
		"log-level":  {`"info"`, "debug", "error"},
	}
	for _, o := range Options() {
		v, ok := values[o.Key]
		if !ok {
			t.Errorf("no test values for %s", o.Key)
			continue
		}
		dir := t.TempDir()
		write(t, filepath.Join(dir, "config.toml"), o.Key+" = "+v[0]+"\n")
		fromEnv := func(name string) (string, bool) { return v[1], name == o.Env() }
		flags := map[string][]string{o.Key: {v[2]}}
		for _, tt := range []struct {
			source string
			want   string
			env    func(string) (string, bool)
			flags  map[string][]string
		}{
			{FromFile, strings.NewReplacer(`["`, "", `"]`, "", `"`, "", "true", "on").Replace(v[0]), noEnv, nil},
			{FromEnv, strings.ReplaceAll(v[1], ", ", ","), fromEnv, nil},
			{FromFlag, strings.ReplaceAll(v[2], "true", "on"), fromEnv, flags},
		} {
			cfg, settings, err := Load(dir, tt.env, tt.flags)
			if err != nil {
				t.Errorf("%s from %s: %v", o.Key, tt.source, err)
				continue
			}
			for _, s := range settings {
				if s.Key == o.Key && (s.Source != tt.source || s.Value != tt.want) {
					t.Errorf("got %+v, want %s from %s", s, tt.want, tt.source)
				}
				if s.Key != o.Key && s.Source != FromDefault {
					t.Errorf("%s also set %+v", o.Key, s)
				}
			}
			if got := showField(&cfg, o); got != tt.want || cfg.Dir != dir {
				t.Errorf("%s is %q in %+v, want %q", o.Key, got, cfg, tt.want)
			}
		}
	}
}

const peerA = "/ip4/127.0.0.1/tcp/7461/p2p/12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5"

func noEnv(string) (string, bool) { return "", false }

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		file  string
		flags map[string][]string
		want  string
	}{
		"unknown key":     {file: "mdns = \"on\"\ncolour = 3\n", want: `line 2: unknown key "colour"; the keys are listen`},
		"unknown table":   {file: "[mdns2]\nx = 1\n", want: "unknown key"},
		"dir in the file": {file: "dir = \"/x\"\n", want: "unknown key"},
		"Dir in the file": {file: "Dir = \"/x\"\n", want: "unknown key"},
		"not TOML":        {file: "mdns on\n", want: "line 1"},
		"wrong type":      {file: "relay = \"yes\"\n", want: "line 1"},
		"switch":          {file: "mdns = \"maybe\"\n", want: "mdns from config.toml: \"maybe\" is neither on nor off"},
		"multiaddr":       {flags: map[string][]string{"listen": {"127.0.0.1:7461"}}, want: "listen from flag"},
		"no peer ID":      {flags: map[string][]string{"bootstrap": {"/ip4/1.2.3.4/tcp/1"}}, want: "without /p2p/ID"},
		"origin":          {flags: map[string][]string{"origin": {"ftp://x/"}}, want: "http:// or https://"},
		"bare rate":       {flags: map[string][]string{"upload": {"0"}}, want: "no unit"},
		"announce":        {flags: map[string][]string{"announce": {"all"}}, want: "none of roots, files, pieces"},
		"log level":       {flags: map[string][]string{"log-level": {"loud"}}, want: "none of debug"},
		"lan":             {flags: map[string][]string{"lan": {"10.0.0.1"}}, want: "lan from flag"},
		"relay":           {flags: map[string][]string{"relay": {"perhaps"}}, want: "relay from flag"},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "config.toml"), tt.file)
		_, _, err := Load(dir, noEnv, tt.flags)
		if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "config.toml"), strings.Repeat("#", maxConfigFile+1))
	if _, _, err := Load(dir, noEnv, nil); !errors.Is(err, ErrUsage) {
		t.Errorf("huge file: %v", err)
	}
	if err := (&Config{MDNS: "x"}).Validate(); !errors.Is(err, ErrUsage) {
		t.Errorf("Validate: %v", err)
	}
	if err := (&Config{}).Validate(); err != nil {
		t.Errorf("the zero Config: %v", err)
	}
}

func TestParseRate(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Rate{
		"": {}, "off": {Off: true}, "Unlimited": {Unlimited: true},
		"20Mbit/s": {Bytes: 2_500_000}, "8 kbit/s": {Bytes: 1000}, "1.5MB/s": {Bytes: 1_500_000},
		"1MiB/s": {Bytes: 1 << 20}, "1GiB/s": {Bytes: 1 << 30}, "9B/s": {Bytes: 9},
	} {
		if got, err := ParseRate(in); err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"0": "no unit", "20": "no unit", "0Mbit/s": "nothing at all", "1bit/s": "nothing at all", "auto": "not there yet",
		"Mbit/s": "cannot be read", "1.2.3MB/s": "cannot be read", "5 parsecs": "cannot be read", "-1MB/s": "cannot be read",
		strings.Repeat("9", 30) + "GB/s": "too large", "1e3MB/s": "cannot be read", "20Mbit/s extra": "cannot be read",
	} {
		if got, err := ParseRate(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %+v, %v, want %q", in, got, err, want)
		}
	}
}

// What config.toml says survives being written and read again.
func FuzzParseConfig(f *testing.F) {
	f.Add("")
	f.Add("listen = ['/ip4/0.0.0.0/tcp/1']\nrelay = true\n")
	f.Add("mdns = \"off\"\nupload = '''1Mbit/s'''\n# done\n")
	f.Add("[listen]\nx=1")
	f.Fuzz(func(t *testing.T, text string) {
		cfg, keys, err := parseConfig([]byte(text))
		if err != nil {
			return
		}
		for k := range keys {
			if !configField(&cfg, k).IsValid() {
				t.Fatalf("key %q was let through", k)
			}
		}
		out, err := toml.Marshal(cfg)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := parseConfig(out)
		if err != nil {
			t.Fatalf("%v in\n%s", err, out)
		}
		if want := trimEmpty(cfg); !reflect.DeepEqual(trimEmpty(again), want) {
			t.Fatalf("got %+v, want %+v", again, want)
		}
	})
}

// trimEmpty makes empty lists nil, as they mean the same.
func trimEmpty(c Config) Config {
	for _, o := range Options() {
		if f := configField(&c, o.Key); f.Kind() == reflect.Slice && f.Len() == 0 {
			f.SetZero()
		}
	}
	return c
}
