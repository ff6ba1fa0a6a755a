package cdnfallback

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxNetrc bounds a .netrc file, bytes.
const maxNetrc = 1 << 20

// login is one entry of a .netrc file.
type login struct {
	machine  string // host name; "" for the default entry
	login    string
	password string
}

// NetrcPath is the file that curl and ftp would use: $NETRC, else .netrc in the
// home directory; "" without either. getenv is os.Getenv.
func NetrcPath(getenv func(string) string, home string) string {
	if p := getenv("NETRC"); p != "" {
		return p
	}
	if home == "" {
		return ""
	}
	return filepath.Join(home, ".netrc")
}

// readNetrc gives the entry for host, ok false when there is none or no file.
func readNetrc(path, host string) (l login, ok bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return login{}, false, nil
	}
	if err != nil {
		return login{}, false, fmt.Errorf("read netrc: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxNetrc+1))
	if err != nil {
		return login{}, false, fmt.Errorf("read netrc %s: %w", path, err)
	}
	if len(b) > maxNetrc {
		return login{}, false, fmt.Errorf("read netrc %s: larger than %d bytes", path, maxNetrc)
	}
	all, err := parseNetrc(string(b))
	if err != nil {
		return login{}, false, fmt.Errorf("read netrc %s: %w", path, err)
	}
	l, ok = findLogin(all, host)
	return l, ok, nil
}

// findLogin gives the first entry of host, else the default one.
func findLogin(all []login, host string) (login, bool) {
	for _, l := range all {
		if l.machine == "" || strings.EqualFold(l.machine, host) {
			return l, true
		}
	}
	return login{}, false
}

// parseNetrc reads the format of ftp(1) with curl's additions: words parted by
// white space, "machine NAME" or "default" and then login, password and account
// with a word each; a word may stand in double quotes with \n \r \t and \x for
// any other x; "#" before a keyword comments the rest of the line out; "macdef"
// runs to the next empty line. Other words are passed over, as curl does: they
// belong to other programs. Nothing after "default" counts, as in ftp. An error
// never shows a word of the file, which may be a password.
func parseNetrc(text string) ([]login, error) {
	var all []login
	s := netrcScanner{rest: text}
	for {
		word, ok, err := s.word()
		if err != nil {
			return nil, err
		}
		if !ok {
			return all, nil
		}
		switch {
		case strings.HasPrefix(word, "#"):
			s.skipLine()
		case word == "macdef":
			s.skipMacro()
		case word == "default":
			all = append(all, login{})
		case word == "machine" || word == "login" || word == "password" || word == "account":
			value, ok, err := s.word()
			if err != nil {
				return nil, err
			}
			if !ok {
				return nil, fmt.Errorf("nothing follows the last %s", word)
			}
			if all, err = set(all, word, value); err != nil {
				return nil, err
			}
		}
	}
}

// set begins an entry or fills a field of the last one.
func set(all []login, key, value string) ([]login, error) {
	if key == "machine" {
		if value == "" {
			return nil, errors.New("a machine has no name")
		}
		return append(all, login{machine: value}), nil
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s stands before the first machine", key)
	}
	last := &all[len(all)-1]
	switch key {
	case "login":
		last.login = value
	case "password":
		last.password = value
	}
	return all, nil
}

// netrcScanner parts a .netrc file into words.
type netrcScanner struct {
	rest string
	read int // newlines passed
}

func (s *netrcScanner) line() int { return s.read + 1 }

func (s *netrcScanner) drop(n int) {
	s.read += strings.Count(s.rest[:n], "\n")
	s.rest = s.rest[n:]
}

// word returns the next word without its quotes; ok is false at the end.
func (s *netrcScanner) word() (w string, ok bool, err error) {
	s.drop(len(s.rest) - len(strings.TrimLeft(s.rest, " \t\r\n")))
	if s.rest == "" {
		return "", false, nil
	}
	if s.rest[0] == '"' {
		w, err = s.quoted()
		return w, err == nil, err
	}
	end := strings.IndexAny(s.rest, " \t\r\n")
	if end < 0 {
		end = len(s.rest)
	}
	w = s.rest[:end]
	s.drop(end)
	return w, true, nil
}

// quoted reads a word in double quotes, which may not run over its line.
func (s *netrcScanner) quoted() (string, error) {
	var b strings.Builder
	for i := 1; i < len(s.rest) && s.rest[i] != '\n'; i++ {
		c := s.rest[i]
		if c == '"' {
			s.drop(i + 1)
			return b.String(), nil
		}
		if c == '\\' && i+1 < len(s.rest) && s.rest[i+1] != '\n' {
			i++
			switch c = s.rest[i]; c {
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 't':
				c = '\t'
			}
		}
		b.WriteByte(c)
	}
	return "", fmt.Errorf("line %d: a quote is not closed", s.line())
}

func (s *netrcScanner) skipLine() {
	if end := strings.IndexByte(s.rest, '\n'); end >= 0 {
		s.drop(end)
		return
	}
	s.drop(len(s.rest))
}

// skipMacro drops a macro's name and body.
func (s *netrcScanner) skipMacro() {
	end := len(s.rest)
	for _, empty := range []string{"\n\n", "\n\r\n"} {
		if i := strings.Index(s.rest, empty); i >= 0 {
			end = min(end, i)
		}
	}
	s.drop(end)
}
