package events

import (
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// maxPattern bounds a pattern, in bytes.
const maxPattern = 256

// pattern is a glob over event types: "*" stands for any text, also none and
// also slashes; everything else for itself. It is kept as the pieces between
// the stars.
type pattern []string

func compile(glob string) (pattern, error) {
	if glob == "" || len(glob) > maxPattern {
		return nil, errs.Newf(errs.Invalid, "an event type to subscribe to has 1 to %d bytes, for example kv-v2/*", maxPattern)
	}
	return strings.Split(glob, "*"), nil
}

// match reports whether the whole of s fits. Taking each piece at the first
// place it fits is enough, as only the last is tied to an end.
func (p pattern) match(s string) bool {
	s, ok := strings.CutPrefix(s, p[0])
	if !ok || len(p) == 1 {
		return ok && s == ""
	}
	last := len(p) - 1
	for _, piece := range p[1:last] {
		i := strings.Index(s, piece)
		if i < 0 {
			return false
		}
		s = s[i+len(piece):]
	}
	return strings.HasSuffix(s, p[last])
}
