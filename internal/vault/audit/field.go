package audit

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// The parts lines are made of. Each leaves out a zero value, as Vault does,
// and takes a name that needs no escaping.

// comma appends one unless something was just begun.
func (l *liner) comma() {
	switch l.b[len(l.b)-1] {
	case '{', '[':
	default:
		l.b = append(l.b, ',')
	}
}

func (l *liner) name(name string) {
	l.comma()
	l.b = append(l.b, '"')
	l.b = append(l.b, name...)
	l.b = append(l.b, '"', ':')
}

func (l *liner) open(name string) {
	l.name(name)
	l.b = append(l.b, '{')
}

// quote appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD,
// control characters are escaped: whatever s is, the line stays one line.
func (l *liner) quote(s string) {
	l.b, _ = jsontext.AppendQuote(l.b, s) // the error only says that it had to replace
}

func (l *liner) text(name, s string) {
	if s != "" {
		l.name(name)
		l.quote(s)
	}
}

func (l *liner) number(name string, n int64) {
	if n != 0 {
		l.name(name)
		l.b = strconv.AppendInt(l.b, n, 10)
	}
}

func (l *liner) flag(name string, on bool) {
	if on {
		l.name(name)
		l.b = append(l.b, "true"...)
	}
}

func (l *liner) time(name string, t time.Time) {
	if t.IsZero() {
		return
	}
	l.name(name)
	l.b = append(l.b, '"')
	l.b = t.UTC().AppendFormat(l.b, time.RFC3339Nano)
	l.b = append(l.b, '"')
}

func (l *liner) list(name string, items []string) {
	if len(items) == 0 {
		return
	}
	l.name(name)
	l.b = append(l.b, '[')
	for _, item := range items {
		l.comma()
		l.quote(item)
	}
	l.b = append(l.b, ']')
}

// secret appends a token: hashed unless the device logs raw.
func (l *liner) secret(name, s string) { l.credential(name, s, &l.token, !l.format.LogRaw) }

// accessor appends a token's accessor: hashed unless the device is told not to.
func (l *liner) accessor(name, s string) {
	l.credential(name, s, &l.access, l.format.HMACAccessor && !l.format.LogRaw)
}

func (l *liner) credential(name, s string, last *seen, hash bool) {
	switch {
	case s == "":
	case !hash:
		l.text(name, s)
	case s == last.clear:
		l.name(name)
		l.b = append(l.b, l.b[last.from:last.to]...)
	default:
		l.name(name)
		from := len(l.b)
		l.b = l.s.AppendHashString(l.b, s)
		*last = seen{s, from, len(l.b)}
	}
}
