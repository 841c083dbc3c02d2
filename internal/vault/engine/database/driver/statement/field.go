package statement

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// Bounds of a field of statements.
const (
	maxStatements = 100
	maxScript     = 64 << 10 // bytes of all of them
)

// Decode reads a field of statements under the first of its names that the
// request has; old if it has none. It may be a string, a list, either of them in
// base64, or a list that is written in a string.
func Decode(req *engine.Request, old []string, names ...string) ([]string, error) {
	for _, name := range names {
		raw := req.Body.Field(name)
		if raw == nil {
			continue
		}
		all := []string{}
		var one string
		switch {
		case json.Unmarshal(raw, &one) == nil:
			all = split(one)
		case json.Unmarshal(raw, &all) == nil:
			if len(all) == 1 {
				all = split(all[0])
			}
		default:
			return nil, errs.Newf(errs.Invalid, "field %q must be a string or a list of strings", name)
		}
		size := 0
		for _, s := range all {
			size += len(s)
		}
		if size > maxScript || len(all) > maxStatements {
			return nil, errs.Newf(errs.Invalid, "field %q is longer than %d statements or %d bytes", name, maxStatements, maxScript)
		}
		return all, nil
	}
	return old, nil
}

// split reads one string, which may be base64, and a list.
func split(s string) []string {
	if strings.TrimSpace(s) == "" {
		return []string{}
	}
	if raw, err := base64.StdEncoding.DecodeString(s); err == nil && len(raw) >= 8 && utf8.Valid(raw) && printable(string(raw)) {
		s = string(raw)
	}
	var all []string
	if strings.HasPrefix(strings.TrimSpace(s), "[") && json.Unmarshal([]byte(s), &all) == nil {
		return all
	}
	return []string{s}
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f })
}
