package fault

import (
	"bytes"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/redact"
)

// Spoilt returns data with wrong in the place of credentials: of keys, or when
// those are nil of every value that does not name a user, a host or the like. If
// that leaves everything as it is, all values are taken. Where a value is made of
// parts (a JSON object, a URL with a password, a list of settings), only the part
// that is a credential becomes wrong, so that it is the backend that refuses and
// not a parser.
func Spoilt(data map[string]redact.Secret, keys []string, wrong string) map[string]redact.Secret {
	out := make(map[string]redact.Secret, len(data))
	changed := false
	for key, value := range data {
		out[key] = value
		if keys != nil && !slices.Contains(keys, key) || keys == nil && public(key, value.Reveal()) {
			continue
		}
		out[key] = redact.New(spoil(value.Reveal(), wrong))
		changed = true
	}
	if keys != nil || changed {
		return out
	}
	for key := range data {
		out[key] = redact.FromString(wrong)
	}
	return out
}

// spoil returns value with its credential made wrong; all of it when none can be
// told from the rest.
func spoil(value []byte, wrong string) []byte {
	if out, ok := spoilJSON(value, wrong); ok {
		return out
	}
	text := string(value)
	if u, err := url.Parse(text); err == nil && u.User != nil {
		if _, has := u.User.Password(); has {
			u.User = url.UserPassword(u.User.Username(), wrong)
			return []byte(u.String())
		}
	}
	if at := setting().FindAllStringSubmatchIndex(text, -1); len(at) > 0 {
		var b strings.Builder
		last := 0
		for _, m := range at {
			b.WriteString(text[last:m[2]])
			b.WriteString(wrong)
			last = m[3]
		}
		b.WriteString(text[last:])
		return []byte(b.String())
	}
	return []byte(wrong)
}

// setting finds passwords in connection strings: "host=db password='x y'" as
// libpq has it, "Server=db;Password=x;" as others do.
func setting() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(?:^|[\s;&?])(?:password|passwd|pwd|secret|token)\s*=\s*('(?:[^'\\]|\\.)*'|"[^"]*"|[^\s;&'"]+)`)
}

// spoilJSON does the same for a JSON object. It is false when value is none, or
// has no credential in it.
func spoilJSON(value []byte, wrong string) ([]byte, bool) {
	trimmed := bytes.TrimSpace(value)
	if len(trimmed) == 0 || trimmed[0] != '{' {
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(trimmed))
	dec.UseNumber()
	var object map[string]any
	if dec.Decode(&object) != nil || dec.More() {
		return nil, false
	}
	if !spoilParts(object, wrong, 0) {
		return nil, false
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if enc.Encode(object) != nil {
		return nil, false
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), true
}

// deepest bounds how far parts of parts are looked at.
const deepest = 16

func spoilParts(object map[string]any, wrong string, depth int) (changed bool) {
	for name, part := range object {
		switch part := part.(type) {
		case string:
			if !public(name, []byte(part)) {
				object[name] = string(spoil([]byte(part), wrong))
				changed = true
			}
		case map[string]any:
			if depth < deepest && spoilParts(part, wrong, depth+1) {
				changed = true
			}
		}
	}
	return changed
}

// public reports whether a value is no credential, by the name it has: a wrong
// host would show how a workload does without its backend, and not without its
// credential.
func public(key string, value []byte) bool {
	if bytes.HasPrefix(bytes.TrimSpace(value), []byte("-----BEGIN CERTIFICATE-----")) {
		return true
	}
	switch name := strings.ToLower(strings.NewReplacer("-", "", "_", "", ".", "").Replace(key)); name {
	case "ca", "cacrt", "cabundle", "tlscrt", "dialect", "driver", "endpoint", "engine", "environment", "login", "name", "namespace", "region",
		"scheme", "schema", "sslmode", "type", "version", "email", "address", "server", "role", "accesskeyid", "awsaccesskeyid", "clientid":
		return true
	default:
		for _, end := range []string{"user", "username", "host", "hostname", "port", "database", "dbname", "databasename"} {
			if strings.HasSuffix(name, end) {
				return true
			}
		}
		return name == "db"
	}
}
