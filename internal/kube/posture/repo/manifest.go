package repo

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/looks"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// isSecret is in every manifest of a Secret, YAML or JSON.
var isSecret = regexp.MustCompile(`(?m)["']?kind["']?\s*:\s*["']?(?:Secret|SecretList|List)\b`)

// manifests finds Secrets in clear. Templates that are no YAML before they are
// rendered are not taken for manifests.
func (g *gather) manifests() {
	if !isSecret.Match(g.text) {
		return
	}
	line := 1
	for _, doc := range separate(g.text) {
		if isSecret.Match(doc) {
			var n yaml.Node
			if yaml.Unmarshal(doc, &n) == nil && len(n.Content) == 1 {
				g.object(n.Content[0], line-1, 0)
			}
		}
		line += bytes.Count(doc, []byte("\n"))
	}
}

// separate cuts a file into documents, one after the other, so that a broken one
// does not hide those behind it.
func separate(text []byte) [][]byte {
	var out [][]byte
	begin := 0
	for at := 0; at < len(text); {
		end := bytes.IndexByte(text[at:], '\n')
		if end < 0 {
			break
		}
		next := at + end + 1
		if line := bytes.TrimRight(text[at:next], " \r\n\t"); bytes.Equal(line, []byte("---")) && at > begin {
			out = append(out, text[begin:at])
			begin = at
		}
		at = next
	}
	return append(out, text[begin:])
}

func value(n *yaml.Node, name string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

func text(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// object looks at a document, whose first line is behind so many others. Aliases are
// not followed.
func (g *gather) object(n *yaml.Node, behind, depth int) {
	if depth > 3 {
		return
	}
	switch kind := text(value(n, "kind")); {
	case strings.HasSuffix(kind, "List"):
		if items := value(n, "items"); items != nil && items.Kind == yaml.SequenceNode {
			for _, item := range items.Content {
				g.object(item, behind, depth+1)
			}
		}
	case kind == "Secret" && text(value(n, "apiVersion")) == "v1", kind == "Secret" && depth > 0:
		for _, section := range []string{"data", "stringData"} {
			g.section(section, value(n, section), behind)
		}
	}
}

// keyName is how the keys of a Secret are written.
var keyName = regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`)

func (g *gather) section(name string, n *yaml.Node, behind int) {
	if n == nil || n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, v := n.Content[i].Value, n.Content[i+1]
		if v.Kind != yaml.ScalarNode || !keyName.MatchString(key) {
			continue
		}
		raw := []byte(v.Value)
		if name == "data" {
			decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(v.Value), ""))
			if err != nil {
				continue // encrypted by SOPS, or a template
			}
			raw = decoded
		}
		if l, ok := clearly(key, raw); ok {
			if looks.Key(key) {
				key = "*"
			}
			g.add(behind+v.Line, name+"."+key, raw, l)
		}
	}
}

// clearly reports whether a value of a Secret's manifest is one in clear, and what
// it looks like.
func clearly(key string, raw []byte) (snapshot.Looks, bool) {
	s := strings.TrimSpace(string(raw))
	switch {
	case fingerprint.Weak(raw) && len(s) < 6, // nothing, a flag, a number
		strings.HasPrefix(s, "ENC["), // SOPS
		strings.HasPrefix(s, "$"), strings.HasPrefix(s, "<") && strings.HasSuffix(s, ">"), strings.Contains(s, "{{"), strings.Contains(s, "${"),
		strings.HasPrefix(s, "ref+"), strings.HasPrefix(s, "vault:"), // vals, bank-vaults
		placeholder(s) && len(s) < 40:
		return "", false
	}
	l := looks.Of(key, raw)
	switch l {
	case snapshot.LooksCert, snapshot.LooksReference:
		return "", false
	case "", snapshot.LooksRandom:
		if public(key) {
			return "", false
		}
		l = snapshot.LooksNamed // it stands in a Secret
	}
	return l, true
}

// publics are keys of Secrets whose values are no secrets.
var publics = regexp.MustCompile(`(?i)(?:^|[-_.])(?:user|username|user_name|login|host|hostname|port|database|dbname|db|name|namespace|email|region|bucket|endpoint|server|url|uri|type|sslmode|ca\.crt|tls\.crt|ca|scheme|issuer|client_?id|project|tenant_?id)$`)

func public(key string) bool { return publics.MatchString(key) }
