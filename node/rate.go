package node

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Rate is a limit in one direction. The zero Rate is no choice: the default.
type Rate struct {
	Bytes     int64 // per second, at least 1, on every path; 0 with Off, Unlimited and the default
	Off       bool
	Unlimited bool
}

// rateUnits are bytes per second. Prefixes are decimal, with Ki, Mi, Gi binary.
var rateUnits = map[string]float64{
	"bit/s": 1.0 / 8, "kbit/s": 1e3 / 8, "mbit/s": 1e6 / 8, "gbit/s": 1e9 / 8,
	"b/s": 1, "kb/s": 1e3, "mb/s": 1e6, "gb/s": 1e9,
	"kib/s": 1 << 10, "mib/s": 1 << 20, "gib/s": 1 << 30,
}

// ParseRate reads a rate as typed: 20Mbit/s, 2.5MB/s, 512KiB/s, off or
// unlimited; "" is the default. B is bytes and bit is bits; the case of letters
// does not matter. A number without a unit is refused, since nobody can tell
// what it means; so is 0, which some programs take for unlimited.
func ParseRate(s string) (Rate, error) {
	text := strings.ToLower(strings.TrimSpace(s))
	switch text {
	case "":
		return Rate{}, nil
	case "off":
		return Rate{Off: true}, nil
	case "unlimited":
		return Rate{Unlimited: true}, nil
	case "auto":
		return Rate{}, fmt.Errorf("rate %q is not there yet; leave it out for the polite default, or say 20Mbit/s, off or unlimited", s)
	}
	if strings.IndexFunc(text, notNumber) < 0 {
		return Rate{}, fmt.Errorf("rate %q has no unit; say 20Mbit/s, 2MB/s, off or unlimited", s)
	}
	bytes, ok := amount(text, rateUnits)
	if !ok {
		return Rate{}, fmt.Errorf("rate %q cannot be read; say 20Mbit/s, 2MB/s, off or unlimited", s)
	}
	bytes = math.Round(bytes)
	if bytes < 1 {
		return Rate{}, fmt.Errorf("rate %q is nothing at all; say off to forbid and unlimited to allow everything", s)
	}
	if bytes > math.MaxInt64/2 {
		return Rate{}, fmt.Errorf("rate %q is too large; say unlimited", s)
	}
	return Rate{Bytes: int64(bytes)}, nil
}

// ParseCopies reads a cap as typed: 1.5/h, copies of the content in any hour; ""
// is none, 0.
func ParseCopies(s string) (float64, error) {
	if s == "" {
		return 0, nil
	}
	text, perHour := strings.CutSuffix(strings.TrimSpace(s), "/h")
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !perHour || !(n > 0) || n > 1e6 {
		return 0, fmt.Errorf("%q is not copies an hour, such as 1/h or 0.5/h", s)
	}
	return n, nil
}

// notNumber tells what a number as typed does not have. A comma may be a point
// or nothing at all, by where one lives: it is refused.
func notNumber(r rune) bool { return (r < '0' || r > '9') && r != '.' }

// amount reads a number and its unit.
func amount(text string, units map[string]float64) (n float64, ok bool) {
	at := strings.IndexFunc(text, notNumber)
	if at < 0 {
		at = len(text)
	}
	n, err := strconv.ParseFloat(text[:at], 64)
	unit, ok := units[strings.TrimSpace(text[at:])]
	return n * unit, ok && err == nil
}
