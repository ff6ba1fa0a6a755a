package cdnfallback

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestParseNetrc(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want []login
	}{
		"empty":     {"", nil},
		"one line":  {"machine h login l password p", []login{{"h", "l", "p"}}},
		"lines":     {"machine\n h\r\nlogin l\n\tpassword p\nmachine g login m", []login{{"h", "l", "p"}, {"g", "m", ""}}},
		"default":   {"machine h login l password p\ndefault login d password e", []login{{"h", "l", "p"}, {"", "d", "e"}}},
		"account":   {"machine h login l account a password p", []login{{"h", "l", "p"}}},
		"comment":   {"# machine x\nmachine h # login x\nlogin l", []login{{"h", "l", ""}}},
		"hash":      {"machine h password #p login l", []login{{"h", "l", "#p"}}},
		"quotes":    {`machine "h" login "l m" password "p\"\\\n\t\r\z"`, []login{{"h", "l m", "p\"\\\n\t\rz"}}},
		"empty one": {`machine h login "" password ""`, []login{{"h", "", ""}}},
		"macro":     {"machine h login l\nmacdef m\nmachine x\nlogin y\n\nmachine g login n", []login{{"h", "l", ""}, {"g", "n", ""}}},
		"macro end": {"machine h\nmacdef m\nmachine x", []login{{"h", "", ""}}},
		"others":    {"machine h protocol https login l port 1", []login{{"h", "l", ""}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseNetrc(tt.text)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
	for _, bad := range []string{"login l", "machine", "machine h login", `machine "h`, "machine \"h\n\"", `machine ""`} {
		if got, err := parseNetrc(bad); err == nil {
			t.Errorf("%q: got %q", bad, got)
		}
	}
}

func TestNetrcPath(t *testing.T) {
	t.Parallel()
	env := func(v string) func(string) string {
		return func(name string) string {
			if name != "NETRC" {
				t.Errorf("asks for %s", name)
			}
			return v
		}
	}
	if got := NetrcPath(env("/x"), "/home/a"); got != "/x" {
		t.Errorf("got %s", got)
	}
	if got, want := NetrcPath(env(""), "/home/a"), filepath.Join("/home/a", ".netrc"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := NetrcPath(env(""), ""); got != "" {
		t.Errorf("got %s", got)
	}
}

// appendNetrc writes entries so that parseNetrc reads them back, each word quoted.
func appendNetrc(b []byte, all []login) []byte {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`)
	word := func(s string) { b = append(append(append(b, ` "`...), quote.Replace(s)...), '"') }
	for _, l := range all {
		b = append(b, "default"...)
		if l.machine != "" {
			b = append(b[:len(b)-len("default")], "machine"...)
			word(l.machine)
		}
		b = append(b, " login"...)
		word(l.login)
		b = append(b, " password"...)
		word(l.password)
		b = append(b, '\n')
	}
	return b
}

func FuzzNetrc(f *testing.F) {
	for _, s := range []string{
		"machine h login l password p", "default login a", `machine "a\"b" login "" account x`,
		"macdef x\ny\n\nmachine h", "# c\nmachine h", `machine "h`, "machine h password \"\\\"",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parseNetrc(text)
		if err != nil {
			return
		}
		again, err := parseNetrc(string(appendNetrc(nil, all)))
		if err != nil || !slices.Equal(again, all) {
			t.Errorf("%q: %q became %q, %v", text, all, again, err)
		}
	})
}
