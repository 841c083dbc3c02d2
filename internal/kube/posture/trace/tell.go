package trace

import (
	"regexp"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// innocent are names of keys whose values unrelated Secrets have in common: who
// logs in, where, and how, but not by what. A part of a name is enough; a word that
// says secret (guilty) outweighs it.
var (
	innocent = regexp.MustCompile(`(?i)(^|[^a-z])(user(name)?|login|e?mail|host(name|s)?|server|port|addr(ess)?|url|uri|endpoint|scheme|protocol|db(name)?|database|schema|bucket|region|zone|env(ironment)?|namespace|name|type|kind|engine|driver|issuer|tenant|project|account|client|id|realm|role|mode|ssl|sslmode|level|version|path|dir|file|timeout|format|ca|crt|cert|pub|public|brokers?|topic|queue|vhost|org(anization)?|domain|provider|sender|from|to)([^a-z]|$)`)
	guilty   = regexp.MustCompile(`(?i)pass|pwd|secret|token|priv|credential|api.?key|access.?key$|auth`)
)

// telling reports whether copies are known by a print of a value of o.
func telling(h *holder, v *snapshot.Value, p *fingerprint.Part) bool {
	if v.Looks == snapshot.LooksReference || v.Looks == snapshot.LooksCert {
		return p.Secret
	}
	if p.Secret {
		return true
	}
	if h.ref.Kind != "Secret" || !whole(p.Where) {
		return false
	}
	key, ok := dataKey(v.Field)
	return ok && (guilty.MatchString(key) || !innocent.MatchString(key))
}

// whole reports whether a part is all of the value, but for its encoding.
func whole(where string) bool {
	return strings.Trim(strings.ReplaceAll(where, "base64", ""), "#") == ""
}

// within reports whether the part at inner is inside of the one at outer. Of two at
// the same place the later is what the earlier means: without spaces, without
// escapes.
func within(outer, inner string, later bool) bool {
	if outer == inner {
		return later && (whole(outer) || strings.HasSuffix(outer, "#password"))
	}
	rest, ok := strings.CutPrefix(inner, outer)
	return ok && (rest[0] == '#' || rest[0] == '/')
}

// dataKey is the key of a Secret's or ConfigMap's data that a field is.
func dataKey(field string) (string, bool) {
	for _, p := range []string{"data.", "stringData.", "binaryData."} {
		if key, ok := strings.CutPrefix(field, p); ok {
			return key, true
		}
	}
	return "", false
}
