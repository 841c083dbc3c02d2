package template

import (
	"reflect"
	"strconv"
	"text/template/parse"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// The functions that woven templates call beside those that they name. The
// parser does not know them, and their names are refused in a template.
const (
	tickName  = "_tick"  // counts
	emitName  = "_emit"  // counts and looks at a value before it is printed
	enterName = "_enter" // at the head of each template
	leaveName = "_leave" // at its end
	failName  = "_fail"  // fail of a literal
)

// longestPipe is how many parts one expression may have: between two looks at
// the clock.
const longestPipe = 1000

// weaver puts into a parse tree what stops it when it runs away.
//
//	{{range .}}…{{end}}     {{if _tick 2}}{{end}}{{range .}}{{if _tick 1}}{{end}}…{{end}}
//	{{.x | upper}}          {{.x | upper | _emit 4}}
//	{{define "a"}}…{{end}}  {{define "a"}}{{if _enter "a"}}{{end}}…{{if _leave}}{{end}}{{end}}
//
// The numbers are how many parts are evaluated before the next count. New nodes
// stand where the old ones do, so that errors name the right line.
type weaver struct {
	tree      *parse.Tree
	functions map[string]any
	secret    bool // the template's own words must not be quoted
	used      map[string]bool
	err       error // the first
}

// weave changes tree. Errors are Invalid.
func (w *weaver) weave(tree *parse.Tree) error {
	w.tree = tree
	w.list(tree.Root)
	at := tree.Root.Pos
	name := &parse.StringNode{NodeType: parse.NodeString, Pos: at, Quoted: strconv.Quote(tree.Name), Text: tree.Name}
	nodes := append([]parse.Node{w.silent(at, 1, enterName, name)}, tree.Root.Nodes...)
	tree.Root.Nodes = append(nodes, w.silent(at, 1, leaveName))
	return w.err
}

// silent returns {{if name args}}{{end}}.
func (w *weaver) silent(at parse.Pos, line int, name string, args ...parse.Node) parse.Node {
	command := w.command(at, name, args...)
	pipe := &parse.PipeNode{NodeType: parse.NodePipe, Pos: at, Line: line, Cmds: []*parse.CommandNode{command}}
	list := &parse.ListNode{NodeType: parse.NodeList, Pos: at}
	return &parse.IfNode{BranchNode: parse.BranchNode{NodeType: parse.NodeIf, Pos: at, Line: line, Pipe: pipe, List: list}}
}

func (w *weaver) command(at parse.Pos, name string, args ...parse.Node) *parse.CommandNode {
	ident := parse.NewIdentifier(name).SetPos(at).SetTree(w.tree)
	return &parse.CommandNode{NodeType: parse.NodeCommand, Pos: at, Args: append([]parse.Node{ident}, args...)}
}

func integer(at parse.Pos, n int) parse.Node {
	return &parse.NumberNode{NodeType: parse.NodeNumber, Pos: at, IsInt: true, Int64: int64(n), Text: strconv.Itoa(n)}
}

func (w *weaver) list(l *parse.ListNode) {
	if l == nil {
		return
	}
	nodes := make([]parse.Node, 0, 2*len(l.Nodes))
	tick := func(p *parse.PipeNode, n int) {
		nodes = append(nodes, w.silent(p.Pos, p.Line, tickName, integer(p.Pos, n)))
	}
	branch := func(b *parse.BranchNode) {
		tick(b.Pipe, w.whole(b.Pipe))
		w.list(b.List)
		w.list(b.ElseList)
	}
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			parts := w.whole(n.Pipe)
			if len(n.Pipe.Decl) > 0 {
				tick(n.Pipe, parts)
			} else {
				n.Pipe.Cmds = append(n.Pipe.Cmds, w.command(n.Pipe.Pos, emitName, integer(n.Pipe.Pos, parts)))
			}
		case *parse.IfNode:
			branch(&n.BranchNode)
		case *parse.WithNode:
			branch(&n.BranchNode)
		case *parse.RangeNode:
			branch(&n.BranchNode)
			head := w.silent(n.Pipe.Pos, n.Line, tickName, integer(n.Pipe.Pos, 1))
			n.List.Nodes = append([]parse.Node{head}, n.List.Nodes...)
		case *parse.TemplateNode:
			if n.Pipe != nil {
				tick(n.Pipe, w.whole(n.Pipe))
			}
		}
		nodes = append(nodes, n)
	}
	l.Nodes = nodes
}

// whole visits the pipe of an action and returns the number of its parts.
func (w *weaver) whole(p *parse.PipeNode) int {
	n := w.pipe(p)
	if n > longestPipe {
		w.wrong(p, "an expression has more than "+strconv.Itoa(longestPipe)+" parts: split it, with variables")
	}
	return n
}

func (w *weaver) pipe(p *parse.PipeNode) int {
	parts := len(p.Decl)
	for i, c := range p.Cmds {
		parts++
		for _, arg := range c.Args {
			parts += w.operand(arg)
		}
		switch c.Args[0].(type) {
		case *parse.FieldNode, *parse.VariableNode, *parse.ChainNode:
			// A method. It is neither counted nor measured, so it gets nothing that grows.
			if i > 0 || !constant(c.Args[1:]) {
				w.wrong(c, "only functions take arguments, and methods constants")
			}
		}
		w.failing(p, i)
	}
	return parts
}

func constant(args []parse.Node) bool {
	for _, arg := range args {
		switch arg.(type) {
		case *parse.StringNode, *parse.NumberNode, *parse.BoolNode:
		default:
			return false
		}
	}
	return true
}

// failing marks a call of fail with words that stand in the template, which the
// error may say.
func (w *weaver) failing(p *parse.PipeNode, i int) {
	c := p.Cmds[i]
	ident, ok := c.Args[0].(*parse.IdentifierNode)
	if !ok || ident.Ident != "fail" || w.secret {
		return
	}
	words := c.Args[1:]
	if i == 1 && len(words) == 0 {
		words = p.Cmds[0].Args
	} else if i > 0 {
		return
	}
	if len(words) != 1 {
		return
	}
	if _, ok := words[0].(*parse.StringNode); ok {
		ident.Ident = failName
	}
}

// operand visits an argument of a command and returns the number of its parts.
func (w *weaver) operand(n parse.Node) int {
	switch n := n.(type) {
	case *parse.PipeNode:
		return 1 + w.pipe(n)
	case *parse.ChainNode:
		return 1 + len(n.Field) + w.operand(n.Node)
	case *parse.FieldNode:
		return len(n.Ident)
	case *parse.VariableNode:
		return len(n.Ident)
	case *parse.IdentifierNode:
		if _, ok := w.functions[n.Ident]; ok {
			w.used[n.Ident] = true
		} else if !builtin(n.Ident) {
			w.wrong(n, "function "+strconv.Quote(n.Ident)+" not defined")
		}
	}
	return 1
}

// builtin is true for the functions of text/template that we leave to it: they
// are quick and return nothing larger than their arguments.
func builtin(name string) bool {
	switch name {
	case "and", "or", "not", "len", "index", "slice":
		return true
	}
	return false
}

func (w *weaver) wrong(n parse.Node, text string) {
	if w.err != nil {
		return
	}
	at, _ := w.tree.ErrorContext(n)
	if w.secret {
		text = "a function is not defined, or an expression is not allowed (its words are withheld, as the template is a Secret)"
	}
	w.err = errs.Newf(errs.Invalid, "template %s: %s", at, text)
}

// woven returns what woven templates call: the functions they use, guarded, and
// our own.
func (b *budget) woven(functions map[string]any, used map[string]bool) map[string]any {
	out := make(map[string]any, len(used)+5)
	out[tickName] = func(n int) (bool, error) { return false, b.step(n) }
	out[enterName] = func(name string) (bool, error) { return false, b.enter(name) }
	out[leaveName] = func() bool { b.leave(); return false }
	out[failName] = func(words string) (string, error) { return "", fail("fail: " + shortened(words)) }
	out[emitName] = b.emit
	for name := range used {
		out[name] = b.wrap(name, reflect.ValueOf(functions[name]))
	}
	return out
}

// emit passes on what is about to be printed. Printing builds the text in
// memory before the writer sees it, so that it must be known to end.
func (b *budget) emit(parts int, v reflect.Value) (reflect.Value, error) {
	if err := b.step(parts); err != nil {
		return v, err
	}
	for v.Kind() == reflect.Interface && !v.IsNil() {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.String:
		return v, nil // the writer counts it
	case reflect.Invalid:
		return v, fail("there is no value to print: it is nil")
	case reflect.Interface, reflect.Pointer, reflect.Map, reflect.Slice:
		if v.IsNil() && v.Kind() != reflect.Map && v.Kind() != reflect.Slice {
			return v, fail("there is no value to print: it is nil")
		}
	}
	if _, err := size(v, overread*b.limits.Output); err != nil {
		return v, err
	}
	return v, nil
}

// shortened keeps a message short enough for an event.
func shortened(words string) string {
	const most = 500
	if len(words) > most {
		return words[:most] + "…"
	}
	return words
}
