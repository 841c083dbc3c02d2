package syntax

import (
	"fmt"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Position is a place in a text; lines and columns count from 1, a column is a rune.
type Position struct{ Line, Column int }

// Errorf returns an error of kind Invalid that begins with the position.
func (p Position) Errorf(format string, args ...any) error {
	return errs.Newf(errs.Invalid, "line %d, column %d: %s", p.Line, p.Column, fmt.Sprintf(format, args...))
}

// Kind is what a Node is.
type Kind uint8

// The kinds.
const (
	String Kind = iota + 1
	Number
	Bool
	Null
	List
	Object
)

var kindNames = [...]string{"nothing", "a string", "a number", "a boolean", "null", "a list", "an object"}

// String returns the kind with its article, as errors need it.
func (k Kind) String() string { return kindNames[k] }

// Node is one value, whichever language it was written in.
type Node struct {
	Kind   Kind
	At     Position
	Text   string // String: the content; Number: a JSON number; Bool: true or false
	List   []Node
	Fields []Field // in order; in HCL a name can come twice
}

// Field is one entry of an object. HCL's `a "b" { }` is the field a whose
// value is an object with the one field b.
type Field struct {
	Name  string
	At    Position
	Value Node
}

// MaxDepth bounds how deep a text may nest; no real policy exceeds 6.
const MaxDepth = 20

// Parse reads JSON if the first character is a brace, else HCL. Errors are of
// kind Invalid, tell the position, and never quote the text: it may be a token
// that somebody gave instead of a policy.
func Parse(text string) (Node, error) {
	if strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{") {
		return parseJSON(text)
	}
	return parseHCL(text)
}

// Expect returns an error unless n is of kind k; what names n in it.
func (n Node) Expect(k Kind, what string) error {
	if n.Kind != k {
		return n.At.Errorf("%s must be %s, found %s", what, k, n.Kind)
	}
	return nil
}

// Objects returns n itself if it is an object, its elements if it is a list of them.
func (n Node) Objects(what string) ([]Node, error) {
	if n.Kind != List {
		return []Node{n}, n.Expect(Object, what)
	}
	for _, e := range n.List {
		if err := e.Expect(Object, what); err != nil {
			return nil, err
		}
	}
	return n.List, nil
}

// Strings returns the elements of a list of strings.
func (n Node) Strings(what string) ([]Node, error) {
	if n.Kind != List {
		return nil, n.At.Errorf(`%s must be a list of strings such as ["a", "b"], found %s`, what, n.Kind)
	}
	for _, e := range n.List {
		if err := e.Expect(String, "an element of "+what); err != nil {
			return nil, err
		}
	}
	return n.List, nil
}
