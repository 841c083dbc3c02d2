package syntax

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// parseJSON is our own walk because the HCL library's JSON parser drops
// booleans and lists inside lists, which would turn `[true]` into "any value",
// and accepts cut-off text.
func parseJSON(text string) (Node, error) {
	p := &jsonParser{text: text, dec: jsontext.NewDecoder(bytes.NewBuffer([]byte(text))), at: Position{1, 1}}
	root, err := p.value(0)
	if err != nil {
		return Node{}, err
	}
	end := int(p.dec.InputOffset())
	rest := strings.TrimLeft(text[end:], " \t\r\n")
	if rest != "" {
		return Node{}, p.seek(len(text) - len(rest)).Errorf("there is more text after the JSON object")
	}
	return root, nil
}

type jsonParser struct {
	text string
	dec  *jsontext.Decoder
	seen int      // bytes of text that at stands for
	at   Position // never moves backwards
}

// seek returns the position of a byte at or behind all asked for before.
func (p *jsonParser) seek(offset int) Position {
	for _, r := range p.text[p.seen:max(offset, p.seen)] {
		if r == '\n' {
			p.at.Line, p.at.Column = p.at.Line+1, 1
		} else {
			p.at.Column++
		}
	}
	p.seen = max(offset, p.seen)
	return p.at
}

// next reads a token and says where it starts.
func (p *jsonParser) next() (jsontext.Token, Position, error) {
	start := int(p.dec.InputOffset())
	for start < len(p.text) && strings.IndexByte(" \t\r\n,:", p.text[start]) >= 0 {
		start++
	}
	t, err := p.dec.ReadToken()
	if err == nil {
		return t, p.seek(start), nil
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return t, Position{}, p.seek(start).Errorf("this name is already used in the same JSON object")
	}
	var se *jsontext.SyntacticError
	if errors.As(err, &se) {
		start = int(se.ByteOffset)
	}
	return t, Position{}, p.seek(min(start, len(p.text))).Errorf("malformed JSON")
}

func (p *jsonParser) value(depth int) (Node, error) {
	t, at, err := p.next()
	if err != nil {
		return Node{}, err
	}
	n := Node{At: at}
	switch t.Kind() {
	case '{':
		n.Kind = Object
	case '[':
		n.Kind = List
	case '"':
		n.Kind, n.Text = String, t.String()
		return n, nil
	case '0':
		n.Kind, n.Text = Number, t.String()
		return n, nil
	case 'n':
		n.Kind = Null
		return n, nil
	default:
		n.Kind, n.Text = Bool, t.String()
		return n, nil
	}
	if depth++; depth > MaxDepth {
		return Node{}, at.Errorf("nested deeper than %d", MaxDepth)
	}
	err = p.fill(&n, depth)
	return n, err
}

// fill reads the members of the object or list n and its closing bracket.
func (p *jsonParser) fill(n *Node, depth int) error {
	for p.dec.PeekKind() != '}' && p.dec.PeekKind() != ']' {
		f := Field{}
		if n.Kind == Object {
			t, at, err := p.next()
			if err != nil {
				return err
			}
			f.Name, f.At = t.String(), at
		}
		v, err := p.value(depth)
		if err != nil {
			return err
		}
		if n.Kind == List {
			n.List = append(n.List, v)
			continue
		}
		f.Value = v
		n.Fields = append(n.Fields, f)
	}
	_, _, err := p.next()
	return err
}

// positionOf is for one-off use: it counts from the start of text.
func positionOf(text string, offset int) Position {
	before := text[:offset]
	line := strings.Count(before, "\n")
	return Position{line + 1, utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1}
}
