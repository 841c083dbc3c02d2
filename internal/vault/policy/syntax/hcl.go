package syntax

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/hcl/ast"
	"github.com/hashicorp/hcl/hcl/parser"
	"github.com/hashicorp/hcl/hcl/scanner"
	hclstrconv "github.com/hashicorp/hcl/hcl/strconv"
	"github.com/hashicorp/hcl/hcl/token"
)

// parseHCL never shows the library's own messages: they quote the input, and
// the input may be a token that somebody gave instead of a policy.
func parseHCL(text string) (root Node, err error) {
	src := strings.ReplaceAll(text, "\r\n", "\n") // as the library does, so that positions agree
	if err := checkTokens(src); err != nil {
		return Node{}, err
	}
	// The library reports some bad input by panicking; what it can panic with is
	// not quoted either.
	defer func() {
		if recover() != nil {
			root, err = Node{}, Position{1, 1}.Errorf("this is not HCL")
		}
	}()
	file, err := parser.ParseDontErrorOnDuplicateKeys([]byte(src))
	if err != nil {
		return Node{}, syntaxError(src, err)
	}
	list, ok := file.Node.(*ast.ObjectList)
	if !ok {
		return Node{}, Position{1, 1}.Errorf("this is not HCL")
	}
	return objectNode(list, Position{1, 1})
}

// checkTokens scans src once before it is parsed, for what the parser would
// let pass or choke on: bad bytes, a nesting that costs it quadratic time, and
// a last item without a value, which it drops.
func checkTokens(src string) error {
	if at := firstBad(src); at >= 0 {
		return positionOf(src, at).Errorf("the text must be UTF-8 without null characters")
	}
	var bad error
	s := scanner.New([]byte(src))
	s.Error = func(p token.Pos, msg string) {
		if bad == nil {
			bad = place(p).Errorf("%s", msg) // the scanner's messages are constants
		}
	}
	depth, last := 0, token.Token{}
	for {
		t := s.Scan()
		if bad != nil {
			return bad
		}
		switch t.Type {
		case token.EOF:
			if last.Type == token.ASSIGN {
				return place(last.Pos).Errorf("there is no value behind this '='")
			}
			return nil
		case token.LBRACE, token.LBRACK:
			if depth++; depth > MaxDepth {
				return place(t.Pos).Errorf("nested deeper than %d", MaxDepth)
			}
		case token.RBRACE, token.RBRACK:
			depth--
		}
		if t.Type != token.COMMENT {
			last = t
		}
	}
}

func firstBad(src string) int {
	for i, r := range src {
		if r == 0 {
			return i
		}
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(src[i:]); size == 1 {
				return i
			}
		}
	}
	return -1
}

func place(p token.Pos) Position { return Position{max(p.Line, 1), max(p.Column, 1)} }

// syntaxError says where the parser stopped and what kind of thing is there.
func syntaxError(src string, err error) error {
	var pe *parser.PosError
	if !errors.As(err, &pe) {
		return Position{1, 1}.Errorf("this is not HCL")
	}
	found := "end of text"
	s := scanner.New([]byte(src))
	s.Error = func(token.Pos, string) {}
	for t := s.Scan(); t.Type != token.EOF; t = s.Scan() {
		if t.Pos.Offset == pe.Pos.Offset {
			found = t.Type.String()
			break
		}
	}
	return place(pe.Pos).Errorf("HCL syntax error: unexpected %s; check the braces, quotes and '=' before it", found)
}

func objectNode(list *ast.ObjectList, at Position) (Node, error) {
	n := Node{Kind: Object, At: at}
	for _, item := range list.Items {
		value, err := valueNode(item.Val)
		if err != nil {
			return Node{}, err
		}
		for i := len(item.Keys) - 1; i >= 0; i-- {
			f, err := keyField(item.Keys[i].Token, value)
			if err != nil {
				return Node{}, err
			}
			if i == 0 {
				n.Fields = append(n.Fields, f)
				break
			}
			value = Node{Kind: Object, At: f.At, Fields: []Field{f}}
		}
	}
	return n, nil
}

func keyField(t token.Token, value Node) (Field, error) {
	name := t.Text
	if t.Type == token.STRING {
		s, err := hclstrconv.Unquote(t.Text)
		if err != nil {
			return Field{}, place(t.Pos).Errorf("this quoted name is malformed")
		}
		name = s
	}
	return Field{Name: name, At: place(t.Pos), Value: value}, nil
}

func valueNode(v ast.Node) (Node, error) {
	switch v := v.(type) {
	case *ast.LiteralType:
		return literalNode(v.Token)
	case *ast.ObjectType:
		return objectNode(v.List, place(v.Lbrace))
	case *ast.ListType:
		n := Node{Kind: List, At: place(v.Lbrack), List: make([]Node, 0, len(v.List))}
		for _, e := range v.List {
			en, err := valueNode(e)
			if err != nil {
				return Node{}, err
			}
			n.List = append(n.List, en)
		}
		return n, nil
	}
	return Node{}, Position{1, 1}.Errorf("this is not HCL")
}

func literalNode(t token.Token) (Node, error) {
	n := Node{At: place(t.Pos), Text: t.Text}
	switch t.Type {
	case token.STRING:
		s, err := hclstrconv.Unquote(t.Text)
		if err != nil {
			return Node{}, n.At.Errorf("this quoted string is malformed")
		}
		n.Kind, n.Text = String, s
	case token.HEREDOC:
		n.Kind, n.Text = String, t.Value().(string)
	case token.BOOL:
		n.Kind = Bool
	case token.NUMBER:
		i, err := strconv.ParseInt(t.Text, 0, 64)
		if err != nil {
			return Node{}, n.At.Errorf("this number does not fit 64 bits")
		}
		n.Kind, n.Text = Number, strconv.FormatInt(i, 10)
	case token.FLOAT:
		f, err := strconv.ParseFloat(t.Text, 64)
		if err != nil || math.IsInf(f, 0) {
			return Node{}, n.At.Errorf("this number is malformed or too large")
		}
		n.Kind, n.Text = Number, strconv.FormatFloat(f, 'f', -1, 64)
	default:
		return Node{}, n.At.Errorf("unexpected %s where a value belongs", t.Type)
	}
	return n, nil
}
