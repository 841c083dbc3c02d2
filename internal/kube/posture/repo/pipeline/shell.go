package pipeline

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// hit is a problem at a line of a script, from 1.
type hit struct {
	line    int
	problem string
}

// inspect finds where a script can write a secret into its log. secret are the
// variables that hold one; masks says that the system has a command to mask what a
// script fetches itself (::add-mask::). A script that is no shell has no hits, and is
// not whole, nor is one in which too much stands in one another.
func inspect(text string, secret map[string]bool, masks bool) (hits []hit, whole bool) {
	f, err := syntax.NewParser(syntax.Variant(syntax.LangBash), syntax.KeepComments(false)).Parse(strings.NewReader(text), "")
	if err != nil {
		return nil, false
	}
	s := &shell{secret: map[string]bool{}, fetched: map[string]bool{}, masks: masks, masked: strings.Contains(text, "::add-mask::")}
	for name, yes := range secret {
		s.secret[name] = yes
	}
	s.stmts(f.Stmts, true)
	return s.hits, !s.deep
}

type shell struct {
	secret  map[string]bool // variables that hold one
	fetched map[string]bool // those that the script itself got from a store
	masks   bool
	masked  bool
	tracing int // the line of set -x; 0 if it is off
	hits    []hit
	depth   int
	deep    bool // it was too much
}

func (s *shell) say(pos syntax.Pos, problem string) {
	s.hits = append(s.hits, hit{int(pos.Line()), problem})
}

// stmts goes through statements in order. visible says that what they print comes
// into the log.
func (s *shell) stmts(list []*syntax.Stmt, visible bool) {
	for _, st := range list {
		s.stmt(st, visible)
	}
}

// maxDepth bounds what stands in what.
const maxDepth = 64

func (s *shell) stmt(st *syntax.Stmt, visible bool) {
	if s.depth++; s.depth > maxDepth {
		s.deep = true
		s.depth--
		return
	}
	defer func() { s.depth-- }()
	visible = visible && !redirected(st)
	switch c := st.Cmd.(type) {
	case *syntax.CallExpr:
		s.call(st, c, visible)
	case *syntax.DeclClause:
		s.declare(c, visible)
	case *syntax.BinaryCmd:
		pipe := c.Op == syntax.Pipe || c.Op == syntax.PipeAll
		s.stmt(c.X, visible && (!pipe || passes(c.Y)))
		s.stmt(c.Y, visible)
	case *syntax.FuncDecl:
		s.stmt(c.Body, visible)
	default:
		s.compound(c, visible)
	}
}

// compound goes into a command that is made of statements.
func (s *shell) compound(c syntax.Command, visible bool) {
	switch c := c.(type) {
	case *syntax.Block:
		s.stmts(c.Stmts, visible)
	case *syntax.Subshell:
		s.stmts(c.Stmts, visible)
	case *syntax.IfClause:
		for ; c != nil; c = c.Else {
			s.stmts(c.Cond, visible)
			s.stmts(c.Then, visible)
		}
	case *syntax.WhileClause:
		s.stmts(c.Cond, visible)
		s.stmts(c.Do, visible)
	case *syntax.ForClause:
		s.stmts(c.Do, visible)
	case *syntax.CaseClause:
		for _, item := range c.Items {
			s.stmts(item.Stmts, visible)
		}
	}
}

// redirected reports whether what a statement prints goes into a file.
func redirected(st *syntax.Stmt) bool {
	for _, r := range st.Redirs {
		switch r.Op {
		case syntax.RdrOut, syntax.AppOut, syntax.RdrClob, syntax.RdrAll, syntax.AppAll:
			target := literal(r.Word)
			if (r.N == nil || r.N.Value == "1") && target != "/dev/stdout" && target != "/dev/stderr" && target != "/dev/tty" {
				return true
			}
		}
	}
	return false
}

// exported reports whether a statement writes for the steps behind it.
func exported(st *syntax.Stmt) bool {
	for _, r := range st.Redirs {
		if (r.Op == syntax.RdrOut || r.Op == syntax.AppOut) && r.Word != nil && (mentions(r.Word, "GITHUB_ENV") || mentions(r.Word, "GITHUB_OUTPUT")) {
			return true
		}
	}
	return false
}

func mentions(n syntax.Node, name string) bool {
	found := false
	syntax.Walk(n, func(n syntax.Node) bool {
		if p, ok := n.(*syntax.ParamExp); ok && p.Param != nil && p.Param.Value == name {
			found = true
		}
		return !found
	})
	return found
}

// filters print what they are given, or what it can be made of.
var filters = map[string]bool{"tee": true, "base64": true, "rev": true, "sed": true, "cut": true, "tr": true, "xxd": true, "od": true, "hexdump": true, "awk": true, "head": true, "tail": true, "cat": true, "jq": true, "yq": true, "sort": true, "fold": true, "nl": true}

// passes reports whether what comes into a statement comes out of it again.
func passes(st *syntax.Stmt) bool {
	c, ok := st.Cmd.(*syntax.CallExpr)
	if !ok || len(c.Args) == 0 {
		return false
	}
	return filters[literal(c.Args[0])]
}

// literal is a word that has nothing to be expanded, or "".
func literal(w *syntax.Word) string {
	if w == nil {
		return ""
	}
	if len(w.Parts) == 1 {
		switch p := w.Parts[0].(type) {
		case *syntax.SglQuoted:
			return p.Value
		case *syntax.DblQuoted:
			if len(p.Parts) == 1 {
				if l, ok := p.Parts[0].(*syntax.Lit); ok {
					return l.Value
				}
			}
		}
	}
	return w.Lit()
}

// holds reports whether a word becomes a text with a secret in it.
func (s *shell) holds(n syntax.Node) bool {
	found := false
	syntax.Walk(n, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.ParamExp:
			found = found || n.Param != nil && s.secret[n.Param.Value] && !n.Length && (n.Exp == nil || n.Exp.Op != syntax.AlternateUnset && n.Exp.Op != syntax.AlternateUnsetOrNull)
		case *syntax.CmdSubst:
			found = found || s.yields(n.Stmts)
			return false
		}
		return !found
	})
	return found
}

// yields reports whether statements print a secret.
func (s *shell) yields(list []*syntax.Stmt) bool {
	inner := &shell{secret: s.secret, fetched: map[string]bool{}, depth: s.depth + 1}
	if inner.depth > maxDepth {
		return false
	}
	inner.stmts(list, true)
	for _, h := range inner.hits {
		if h.problem == Echoes {
			return true
		}
	}
	return false
}

// call looks at one command.
func (s *shell) call(st *syntax.Stmt, c *syntax.CallExpr, visible bool) {
	if len(c.Args) == 0 {
		s.assign(c.Assigns)
	}
	if s.tracing > 0 && s.uses(c) {
		s.hits = append(s.hits, hit{s.tracing, Traces})
		s.tracing = 0
	}
	if len(c.Args) == 0 {
		return
	}
	args := words(c)
	s.options(c, args)
	s.exports(st, c)
	if visible {
		s.output(st, c, args)
	}
}

// words are those of a command, "" for what the shell makes when it runs.
func words(c *syntax.CallExpr) []string {
	args := make([]string, len(c.Args))
	for i, w := range c.Args {
		args[i] = literal(w)
	}
	return args
}

// output looks at a command whose output comes into the log.
func (s *shell) output(st *syntax.Stmt, c *syntax.CallExpr, args []string) {
	switch {
	case args[0] == "echo" || args[0] == "printf":
		s.echo(c)
	case dumps(args):
		if len(s.secret) > 0 {
			s.say(c.Pos(), Dumps)
		}
	case args[0] == "printenv" && len(args) == 2 && s.secret[args[1]], fetches(args), filters[args[0]] && s.fed(st):
		s.say(c.Pos(), Echoes)
	}
}

func (s *shell) echo(c *syntax.CallExpr) {
	for _, w := range c.Args[1:] {
		if strings.HasPrefix(text(w), "::add-mask::") {
			return
		}
	}
	for _, w := range c.Args[1:] {
		if s.holds(w) {
			s.say(c.Pos(), Echoes)
			return
		}
	}
}

// text is how a word begins, as far as it is written out.
func text(w *syntax.Word) string {
	for _, p := range w.Parts {
		switch p := p.(type) {
		case *syntax.Lit:
			return p.Value
		case *syntax.SglQuoted:
			return p.Value
		case *syntax.DblQuoted:
			if len(p.Parts) > 0 {
				if l, ok := p.Parts[0].(*syntax.Lit); ok {
					return l.Value
				}
			}
		}
		break
	}
	return ""
}

// fed reports whether a text that the script holds is given to a command.
func (s *shell) fed(st *syntax.Stmt) bool {
	for _, r := range st.Redirs {
		if r.Hdoc != nil && s.holds(r.Hdoc) || r.Op == syntax.WordHdoc && r.Word != nil && s.holds(r.Word) {
			return true
		}
	}
	return false
}

// uses reports whether a command has a secret in its words.
func (s *shell) uses(c *syntax.CallExpr) bool {
	for _, w := range c.Args {
		if s.holds(w) {
			return true
		}
	}
	for _, a := range c.Assigns {
		if a.Value != nil && (s.holds(a.Value) || a.Name != nil && s.secret[a.Name.Value]) {
			return true
		}
	}
	return false
}

// options notes set -x, set +x, and shells that are begun with it.
func (s *shell) options(c *syntax.CallExpr, args []string) {
	if args[0] != "set" {
		return
	}
	for i, a := range args[1:] {
		switch {
		case a == "-o" && i+2 < len(args) && args[i+2] == "xtrace", strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "--") && strings.Contains(a, "x"):
			s.tracing = int(c.Pos().Line())
		case a == "+o" && i+2 < len(args) && args[i+2] == "xtrace", strings.HasPrefix(a, "+") && strings.Contains(a, "x"):
			s.tracing = 0
		}
	}
}

// exports notes what is fetched and handed to later steps without being masked.
func (s *shell) exports(st *syntax.Stmt, c *syntax.CallExpr) {
	if !s.masks || s.masked || !exported(st) {
		return
	}
	found := false
	for _, w := range c.Args {
		for name := range s.fetched {
			found = found || mentions(w, name)
		}
		found = found || substituted(w)
	}
	if found {
		s.say(c.Pos(), Unmasked)
	}
}

// substituted reports whether a word has in it what a store gave.
func substituted(w *syntax.Word) bool {
	found := false
	syntax.Walk(w, func(n syntax.Node) bool {
		if sub, ok := n.(*syntax.CmdSubst); ok && gets(sub.Stmts) {
			found = true
		}
		return !found
	})
	return found
}

// assign learns which variables hold secrets.
func (s *shell) assign(list []*syntax.Assign) {
	for _, a := range list {
		if a.Name == nil || a.Value == nil {
			continue
		}
		switch {
		case s.holds(a.Value):
			s.secret[a.Name.Value] = true
			if substituted(a.Value) {
				s.fetched[a.Name.Value] = true
			}
		case isLiteral(a.Name.Value, literal(a.Value)):
			s.say(a.Pos(), Literal)
			s.secret[a.Name.Value] = true
		}
	}
}

// declare looks at export and its like.
func (s *shell) declare(c *syntax.DeclClause, visible bool) {
	s.assign(c.Args)
	if visible && len(s.secret) > 0 && (c.Variant.Value == "export" || c.Variant.Value == "declare") {
		for _, a := range c.Args {
			if a.Naked && a.Name == nil && a.Value != nil && (a.Value.Lit() == "-p" || a.Value.Lit() == "-x" && len(c.Args) == 1) {
				s.say(c.Pos(), Dumps)
			}
		}
	}
}

// dumps reports whether a command prints all variables.
func dumps(args []string) bool {
	return len(args) == 1 && (args[0] == "env" || args[0] == "printenv" || args[0] == "set")
}

// stores are commands that print secrets, by their first words.
var stores = [][]string{
	{"vault", "kv", "get"}, {"vault", "read"}, {"bao", "kv", "get"}, {"bao", "read"}, {"strongkeep", "kv", "get"}, {"strongkeep", "read"},
	{"aws", "secretsmanager", "get-secret-value"}, {"gcloud", "secrets", "versions", "access"}, {"az", "keyvault", "secret", "show"},
	{"op", "read"}, {"sops", "-d"}, {"sops", "--decrypt"}, {"sops", "decrypt"}, {"kubectl", "get", "secret"}, {"kubectl", "get", "secrets"},
}

// shows are formats of kubectl that print values.
func shows(args []string) bool {
	for _, a := range args {
		if a == "-oyaml" || a == "-ojson" || a == "yaml" || a == "json" || strings.Contains(a, "jsonpath") || strings.Contains(a, "go-template") || strings.HasPrefix(a, "--template") {
			return true
		}
	}
	return false
}

// fetches reports whether a command prints a secret of a store.
func fetches(args []string) bool {
	for _, want := range stores {
		if len(args) < len(want) {
			continue
		}
		same := true
		for i := range want {
			same = same && args[i] == want[i]
		}
		if same && (want[0] != "kubectl" || shows(args)) {
			return true
		}
	}
	return false
}

// gets reports whether statements print what a store gives.
func gets(list []*syntax.Stmt) bool {
	found := false
	for _, st := range list {
		syntax.Walk(st, func(n syntax.Node) bool {
			if c, ok := n.(*syntax.CallExpr); ok && len(c.Args) > 0 {
				found = found || fetches(words(c))
			}
			return !found
		})
	}
	return found
}
