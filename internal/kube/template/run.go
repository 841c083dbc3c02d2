package template

import (
	"bytes"
	"text/template"
	"text/template/parse"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Limits bound one Run. Zero values mean the defaults.
type Limits struct {
	Text     int           // bytes of one template's source; 512 KiB
	Output   int           // bytes written by all templates together; 1 MiB, a Secret's limit
	Produced int           // bytes that functions return, all together; 64 MiB
	Steps    int           // function calls, loop rounds and template calls; 1,000,000
	Time     time.Duration // 10 s
}

func (l Limits) withDefaults() Limits {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.Text, 512<<10)
	set(&l.Output, 1<<20)
	set(&l.Produced, 64<<20)
	set(&l.Steps, 1_000_000)
	if l.Time == 0 {
		l.Time = 10 * time.Second
	}
	return l
}

// Run executes the templates of one object over the same values, under one
// budget. It is for one goroutine, and of no use after an error.
type Run struct {
	data   map[string]string
	budget *budget
}

// NewRun starts a run. now is called often and must be cheap.
func NewRun(data map[string]string, limits Limits, now func() time.Time) *Run {
	l := limits.withDefaults()
	return &Run{data: data, budget: &budget{limits: l, now: now, deadline: now().Add(l.Time)}}
}

// Text executes the template source; name is for messages. Errors are Invalid
// (the template or what it was fed is wrong) or TooLarge (it met a limit).
func (r *Run) Text(name, source string) ([]byte, error) {
	if len(source) > r.budget.limits.Text {
		return nil, errs.Newf(errs.TooLarge, "template %s is %d bytes long: the limit is %d", name, len(source), r.budget.limits.Text)
	}
	t, err := template.New(name).Option("missingkey=error").Funcs(names).Parse(source)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "parsing %w", err) // text/template names the template and quotes only its source
	}
	used := map[string]bool{}
	for _, part := range t.Templates() {
		if part.Tree != nil && part.Root != nil {
			instrument(part.Root, used)
			part.Root.Nodes = prepend(part.Root.Nodes)
		}
	}
	t.Funcs(r.budget.guarded(used))
	var out bytes.Buffer
	err = t.Execute(&limitedWriter{&out, r.budget}, r.data)
	if err != nil {
		return nil, explain(name, source, err)
	}
	return out.Bytes(), nil
}

// tickName is the function that instrumented templates call.
const tickName = "_tick"

// instrument puts a call of tickName at the head of every loop body below n, so
// that no loop runs uncounted, and collects the names of functions used.
func instrument(n parse.Node, used map[string]bool) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, child := range n.Nodes {
				instrument(child, used)
			}
		}
	case *parse.RangeNode:
		branch(&n.BranchNode, used)
		n.List.Nodes = prepend(n.List.Nodes)
	case *parse.IfNode:
		branch(&n.BranchNode, used)
	case *parse.WithNode:
		branch(&n.BranchNode, used)
	case *parse.ActionNode:
		pipe(n.Pipe, used)
	case *parse.TemplateNode:
		pipe(n.Pipe, used)
	case *parse.PipeNode:
		pipe(n, used)
	case *parse.ChainNode:
		instrument(n.Node, used)
	case *parse.IdentifierNode:
		used[n.Ident] = true
	}
}

func branch(n *parse.BranchNode, used map[string]bool) {
	pipe(n.Pipe, used)
	instrument(n.List, used)
	if n.ElseList != nil {
		instrument(n.ElseList, used)
	}
}

func pipe(n *parse.PipeNode, used map[string]bool) {
	if n == nil {
		return
	}
	for _, command := range n.Cmds {
		for _, arg := range command.Args {
			instrument(arg, used)
		}
	}
}

// prepend returns nodes with a call of tickName before them.
func prepend(nodes []parse.Node) []parse.Node {
	trees, err := parse.Parse("tick", "{{"+tickName+"}}", "", "", map[string]any{tickName: func() string { return "" }})
	if err != nil {
		panic(err) // a constant
	}
	return append([]parse.Node{trees["tick"].Root.Nodes[0]}, nodes...)
}
