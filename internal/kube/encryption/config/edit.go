package config

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// heading of a file that is new. What is below it is the same on every node, to the
// byte, for API servers tell no more of a file than its hash.
const heading = `# For --encryption-provider-config of every API server: the same file on each. It is
# changed by strongkeep encryption configure. A provider's name never changes: it is
# in etcd before every value.
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources: []
`

// edit is the text of f with the next step done. Comments stay where they are.
func (f *File) edit(g *Goal, entry int, change func(providers *yaml.Node)) (redact.Secret, error) {
	text := []byte(heading)
	if f.Hash != "" {
		text = f.text.Reveal()
	}
	var doc yaml.Node // a tree of its own, since it is changed
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return redact.Secret{}, errs.Newf(errs.Internal, "reading %s again: it is not YAML any more", f.Place)
	}
	root := doc.Content[0]
	if n := anchored(root); n != nil {
		return redact.Secret{}, errs.Newf(errs.Invalid, "%s%w", f.Place, at(n.Line, "here is an anchor or an alias of YAML, by which one change would be several: write it out"))
	}
	root.Style &^= yaml.FlowStyle // JSON becomes YAML, in which more can be written
	_, resources := child(root, "resources")
	switch {
	case entry < 0:
		resources.Style &^= yaml.FlowStyle
		resources.Content = append(resources.Content, newEntry(g))
	default:
		_, providers := child(resources.Content[entry], "providers")
		change(providers)
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return redact.Secret{}, errs.Newf(errs.Internal, "writing %s as YAML", f.Place)
	}
	if err := enc.Close(); err != nil {
		return redact.Secret{}, errs.Newf(errs.Internal, "writing %s as YAML", f.Place)
	}
	return redact.New(out.Bytes()), nil
}

// anchored is a node that others repeat, or that repeats another.
func anchored(n *yaml.Node) *yaml.Node {
	if n.Anchor != "" || n.Kind == yaml.AliasNode {
		return n
	}
	for _, c := range n.Content {
		if found := anchored(c); found != nil {
			return found
		}
	}
	return nil
}

// advance does one step to a list of providers. To be read, the new one stands behind
// the one that writes; to write, it goes before all, and identity behind all.
func (g *Goal) advance(providers *yaml.Node, stage Stage) {
	if stage == Away {
		where := 1
		if g.Back {
			where = len(providers.Content)
		}
		providers.Content = slices.Insert(providers.Content, where, goalProvider(g))
		return
	}
	rank := func(n *yaml.Node) int {
		_, kms := child(n, "kms")
		_, identity := child(n, "identity")
		switch {
		case identity != nil && g.Back, kms != nil && !g.Back && value(kms, "name") == g.Name:
			return 0
		case identity != nil:
			return 2
		}
		return 1
	}
	slices.SortStableFunc(providers.Content, func(a, b *yaml.Node) int { return rank(a) - rank(b) })
}

func value(n *yaml.Node, field string) string {
	_, v := child(n, field)
	if v == nil {
		return ""
	}
	return v.Value
}

func newEntry(g *Goal) *yaml.Node {
	names := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, r := range g.Resources {
		names.Content = append(names.Content, text(r))
	}
	list := &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{identity(), goalProvider(g)}}
	return mapping("resources", names, "providers", list)
}

func goalProvider(g *Goal) *yaml.Node {
	if g.Back {
		return identity()
	}
	timeout := g.Timeout
	if timeout == 0 {
		timeout = 3 * time.Second
	}
	return mapping("kms", mapping("apiVersion", text("v2"), "name", text(g.Name), "endpoint", text(g.endpoint()), "timeout", text(timeout.String())))
}

func identity() *yaml.Node {
	return mapping("identity", &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle})
}

// text is a string, quoted where YAML would take it for something else.
func text(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	if strings.Contains(s, "*") {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// mapping takes names and nodes by turns.
func mapping(pairs ...any) *yaml.Node {
	m := &yaml.Node{Kind: yaml.MappingNode}
	for _, one := range pairs {
		switch one := one.(type) {
		case string:
			m.Content = append(m.Content, text(one))
		case *yaml.Node:
			m.Content = append(m.Content, one)
		}
	}
	return m
}
