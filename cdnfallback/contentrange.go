package cdnfallback

import (
	"errors"
	"strconv"
	"strings"
)

// contentRange is a Content-Range field (RFC 9110, 14.4).
//
// Invariant of a parsed one: first = last = -1 (the form of HTTP 416), or
// 0 <= first <= last, and then last < total unless total is -1, unknown.
type contentRange struct {
	first, last int64 // both included; -1 for "bytes */total"
	total       int64 // of the file, -1 for "*"
}

var errContentRange = errors.New("not a Content-Range of bytes")

// parseContentRange reads "bytes first-last/total", "bytes first-last/*" and
// "bytes */total". The unit may have any case, the numbers no sign or space.
func parseContentRange(s string) (contentRange, error) {
	bad := contentRange{}
	unit, rest, ok := strings.Cut(s, " ")
	span, size, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 || !strings.EqualFold(unit, "bytes") {
		return bad, errContentRange
	}
	r := contentRange{first: -1, last: -1, total: -1}
	if size != "*" {
		if r.total, ok = parseDigits(size); !ok {
			return bad, errContentRange
		}
	}
	if span == "*" {
		if r.total < 0 {
			return bad, errContentRange
		}
		return r, nil
	}
	from, to, ok := strings.Cut(span, "-")
	if !ok {
		return bad, errContentRange
	}
	var ok1 bool
	r.first, ok1 = parseDigits(from)
	r.last, ok2 = parseDigits(to)
	if !ok1 || !ok2 || r.first > r.last || (r.total >= 0 && r.last >= r.total) {
		return bad, errContentRange
	}
	return r, nil
}

// String is the field's canonical text: parseContentRange(r.String()) gives r.
func (r contentRange) String() string {
	b := append(make([]byte, 0, 48), "bytes "...)
	if r.first < 0 {
		b = append(b, '*')
	} else {
		b = strconv.AppendInt(b, r.first, 10)
		b = append(b, '-')
		b = strconv.AppendInt(b, r.last, 10)
	}
	b = append(b, '/')
	if r.total < 0 {
		return string(append(b, '*'))
	}
	return string(strconv.AppendInt(b, r.total, 10))
}

// parseDigits reads a number of digits only, below 2^63.
func parseDigits(s string) (int64, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false // strconv would take a sign
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
