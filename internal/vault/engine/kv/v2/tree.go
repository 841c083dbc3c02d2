package v2

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// node is a JSON value split as far as objects go: all else stays the bytes it
// came as. It is made in one pass, so that deep nesting costs no more than its
// length.
type node struct {
	raw     jsontext.Value // as it came, without blanks around it
	object  bool
	members []member // of an object, in the order they came
}

type member struct {
	name string
	node *node
}

// parseTree splits raw, which must be valid JSON nested at most
// engine.MaxDepth deep, as every stored version and every body is.
func parseTree(raw jsontext.Value) (*node, error) {
	raw = bytes.TrimSpace(raw)
	n, err := parseNode(jsontext.NewDecoder(bytes.NewBuffer(raw)), raw)
	if err != nil {
		return nil, errs.New(errs.Internal, "parsing the data of a secret: malformed JSON")
	}
	return n, nil
}

func parseNode(dec *jsontext.Decoder, raw jsontext.Value) (*node, error) {
	if dec.PeekKind() != '{' {
		v, err := dec.ReadValue()
		end := dec.InputOffset()
		if err != nil {
			return nil, err
		}
		return &node{raw: raw[end-int64(len(v)) : end]}, nil
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, err
	}
	n, start := &node{object: true}, dec.InputOffset()-1
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		text := name.String()
		child, err := parseNode(dec, raw)
		if err != nil {
			return nil, err
		}
		n.members = append(n.members, member{text, child})
	}
	_, err := dec.ReadToken()
	n.raw = raw[start:dec.InputOffset()]
	return n, err
}

func (n *node) null() bool { return n.raw.Kind() == 'n' }

// mergePatch applies a JSON merge patch (RFC 7396). Members keep their order
// and untouched values their bytes; new members come last. (The usual library
// for this decodes into maps, which loses both.)
func mergePatch(target, patch jsontext.Value) (jsontext.Value, error) {
	t, err := parseTree(target)
	if err != nil {
		return nil, err
	}
	p, err := parseTree(patch)
	if err != nil {
		return nil, err
	}
	return t.appendMerged(make([]byte, 0, len(target)+len(patch)), p), nil
}

// appendMerged appends t patched with p; a nil t is a member that was not there.
func (n *node) appendMerged(dst []byte, p *node) []byte {
	if !p.object {
		return append(dst, p.raw...)
	}
	patches := make(map[string]*node, len(p.members))
	for _, m := range p.members {
		patches[m.name] = m.node
	}
	dst = append(dst, '{')
	empty := len(dst)
	name := func(name string) {
		if len(dst) > empty {
			dst = append(dst, ',')
		}
		dst, _ = jsontext.AppendQuote(dst, name) // valid UTF-8: it was parsed
		dst = append(dst, ':')
	}
	if n != nil {
		for _, m := range n.members {
			change, patched := patches[m.name]
			switch {
			case !patched:
				name(m.name)
				dst = append(dst, m.node.raw...)
			case !change.null():
				name(m.name)
				dst = m.node.appendMerged(dst, change)
			}
			delete(patches, m.name)
		}
	}
	for _, m := range p.members {
		if _, left := patches[m.name]; left && !m.node.null() {
			name(m.name)
			dst = (*node)(nil).appendMerged(dst, m.node)
		}
	}
	return append(dst, '}')
}

// appendSubkeys appends n with every leaf replaced by null. Objects without
// members are leaves, and so is all at the given depth (0 = no limit).
func (n *node) appendSubkeys(dst []byte, depth int64) []byte {
	dst = append(dst, '{')
	for i, m := range n.members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst, _ = jsontext.AppendQuote(dst, m.name)
		dst = append(dst, ':')
		if len(m.node.members) == 0 || depth == 1 {
			dst = append(dst, "null"...)
		} else {
			dst = m.node.appendSubkeys(dst, max(0, depth-1))
		}
	}
	return append(dst, '}')
}
