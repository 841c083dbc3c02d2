package template

import (
	"bytes"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Limits bound one Run. Zero values mean the defaults.
type Limits struct {
	Text     int           // bytes of one template's source; 512 KiB
	Actions  int           // left delimiters in one template's source; 5,000
	Output   int           // bytes written by all templates together; 1 MiB, a Secret's limit
	Produced int           // bytes that functions return, all together; 32 MiB; they may read four times that
	Steps    int           // parts of expressions and loop rounds; 200,000
	Keys     int           // units of making keys and hashing passwords, whose time does not count: RSA-4096 is 4, others 1; 8
	Time     time.Duration // 1 s
}

func (l Limits) withDefaults() Limits {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.Text, 512<<10)
	set(&l.Actions, 5000)
	set(&l.Output, 1<<20)
	set(&l.Produced, 32<<20)
	set(&l.Steps, 200_000)
	set(&l.Keys, 8)
	if l.Time == 0 {
		l.Time = time.Second
	}
	return l
}

// Run executes the templates of one object over the same values, under one
// budget. It is for one goroutine, and of no use after an error.
type Run struct {
	data      any // of strings, or of such by a name
	budget    *budget
	functions map[string]any
	delims    Delimiters
}

// NewRun starts a run. now is called often and must be cheap.
func NewRun(data map[string]string, limits Limits, now func() time.Time) *Run {
	l := limits.withDefaults()
	b := &budget{limits: l, now: now, deadline: now().Add(l.Time)}
	return &Run{data: data, budget: b, functions: b.functions()}
}

// NewNested starts a run over groups of values, each under its name: {{ .NAME.KEY }}.
func NewNested(data map[string]map[string]string, limits Limits, now func() time.Time) *Run {
	r := NewRun(nil, limits, now)
	r.data = data
	return r
}

// WithNested is With for groups of values.
func (r *Run) WithNested(data map[string]map[string]string) *Run {
	return &Run{data, r.budget, r.functions, r.delims}
}

// With returns a run over other values under the same budget.
func (r *Run) With(data map[string]string) *Run { return &Run{data, r.budget, r.functions, r.delims} }

// Delimited returns a run whose templates are written with d, which must be in order,
// under the same budget.
func (r *Run) Delimited(d Delimiters) *Run { return &Run{r.data, r.budget, r.functions, d} }

// Text executes the template source; name is for messages. Errors are Invalid
// (the template or what it was fed is wrong) or TooLarge (it met a limit).
func (r *Run) Text(name, source string) ([]byte, error) {
	return r.text(name, source, false)
}

// SecretText is Text for a template that is itself a secret, from a Secret say:
// errors say where, and quote none of its words.
func (r *Run) SecretText(name, source string) ([]byte, error) {
	return r.text(name, source, true)
}

func (r *Run) text(name, source string, secret bool) ([]byte, error) {
	limits := r.budget.limits
	if len(source) > limits.Text {
		return nil, errs.Newf(errs.TooLarge, "template %s is %d bytes long: the limit is %d", name, len(source), limits.Text)
	}
	if n := strings.Count(source, r.delims.left()); n > limits.Actions {
		return nil, errs.Newf(errs.TooLarge, "template %s has %d actions: the limit is %d", name, n, limits.Actions)
	}
	place := place{name: name, secret: secret}
	trees := map[string]*parse.Tree{}
	root := parse.New(name)
	root.Mode = parse.SkipFuncCheck // the weaver looks them up
	if _, err := root.Parse(source, r.delims.Left, r.delims.Right, trees); err != nil {
		return nil, place.parsing(err)
	}
	w := weaver{functions: r.functions, secret: secret, used: map[string]bool{}}
	t := template.New(name).Option("missingkey=error")
	for _, tree := range trees {
		if err := w.weave(tree); err != nil {
			return nil, err
		}
		if _, err := t.AddParseTree(tree.Name, tree); err != nil {
			return nil, place.parsing(err)
		}
	}
	r.budget.calls = r.budget.calls[:0]
	var out bytes.Buffer
	if err := t.Funcs(r.budget.woven(r.functions, w.used)).Execute(&limitedWriter{&out, r.budget}, r.data); err != nil {
		return nil, place.executing(err)
	}
	return out.Bytes(), nil
}
