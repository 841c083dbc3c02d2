package statement

import (
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Dialect says how a database's SQL quotes.
type Dialect struct {
	Backslash   bool // a backslash escapes in every string, as in MySQL
	DollarQuote bool // $tag$ ... $tag$ is a string, as in PostgreSQL
	Backtick    bool // `...` is an identifier, as in MySQL
	HashComment bool // # begins a comment, as in MySQL
	NestComment bool // comments of slash and star nest, as in PostgreSQL
}

// The dialects.
var (
	PostgreSQL = Dialect{DollarQuote: true, NestComment: true}
	MySQL      = Dialect{Backslash: true, Backtick: true, HashComment: true}
)

// MaxScript bounds one script, in bytes.
const MaxScript = 256 << 10

// Expand cuts scripts into statements at semicolons that stand outside of
// quotes and comments, drops empty ones, and replaces every {{name}} that values
// knows by its value. A name that values does not know stays as it is, as in
// Vault. Errors are of kind Invalid and never quote a value.
func Expand(d Dialect, scripts []string, values map[string]string) ([]string, error) {
	var all []string
	for _, script := range scripts {
		if len(script) > MaxScript {
			return nil, errs.Newf(errs.Invalid, "a statement has %d bytes; the limit is %d", len(script), MaxScript)
		}
		e := expander{Dialect: d, script: script, values: values}
		if err := e.run(); err != nil {
			return nil, err
		}
		e.end()
		all = append(all, e.done...)
	}
	return all, nil
}

// expander walks over one script, or over the body of a dollar quote in one.
type expander struct {
	Dialect
	script string
	at     int
	values map[string]string
	out    strings.Builder // of the statement so far
	code   bool            // the statement holds more than blanks and comments
	runs   bool            // within a comment that MySQL runs
	done   []string

	depth    int  // dollar quotes around script
	before   int  // statements before the one that script is in
	unclosed bool // run failed because something is never closed
}

// place is what surrounds a placeholder.
type place struct {
	quote     byte // ', " or `; '$' for all of a dollar quote, '-' for a comment, 0 for none
	backslash bool // a backslash escapes here
	exact     bool // a quote stands right before it, and the same right behind
	body      bool // in a dollar quote, besides
	runs      bool // in a comment that MySQL runs, besides
}

func (e *expander) run() error {
	for e.at < len(e.script) {
		if err := e.step(); err != nil {
			return err
		}
	}
	if e.runs {
		return e.open("a comment")
	}
	return nil
}

// open is the error that something is never closed.
func (e *expander) open(what string) error {
	e.unclosed = true
	return errs.Newf(errs.Invalid, "statement %d: %s is never closed", e.number(), what)
}

// number counts the statement that e is in, from 1.
func (e *expander) number() int { return e.before + len(e.done) + 1 }

// end finishes a statement.
func (e *expander) end() {
	if text := strings.TrimSpace(e.out.String()); e.code && text != "" {
		e.done = append(e.done, text)
	}
	e.out.Reset()
	e.code = false
}

// step handles what begins at e.at.
func (e *expander) step() error { //nolint:cyclop // a flat list of conditions
	rest := e.script[e.at:]
	c := rest[0]
	switch {
	case c == ';' && e.depth == 0 && !e.runs:
		e.at++
		e.end()
		return nil
	case c == '\'' || c == '"' || c == '`' && e.Backtick:
		e.code = true
		return e.quoted(c)
	case e.lineComment(rest):
		return e.lineEnd()
	case e.runs && strings.HasPrefix(rest, "*/"):
		e.runs = false
		e.copy(2)
		return nil
	case e.HashComment && !e.runs && (strings.HasPrefix(rest, "/*!") || strings.HasPrefix(rest, "/*M!")):
		e.runs, e.code = true, true
		e.copy(3)
		return nil
	case strings.HasPrefix(rest, "/*"):
		return e.comment()
	case c == '$' && e.DollarQuote && !e.afterWord():
		if tag := dollarTag(rest); tag != "" {
			return e.dollar(tag)
		}
	}
	if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
		e.code = true
	}
	return e.take(place{})
}

// lineComment reports whether rest begins a comment up to the end of the line.
// MySQL wants a blank behind the two dashes.
func (e *expander) lineComment(rest string) bool {
	if rest[0] == '#' {
		return e.HashComment
	}
	after, dashes := strings.CutPrefix(rest, "--")
	return dashes && (!e.HashComment || after == "" || after[0] <= ' ')
}

// afterWord reports whether the byte before continues into what comes, so that
// a$b$ is an identifier and no dollar quote. It may be a value's.
func (e *expander) afterWord() bool {
	text := e.out.String()
	return text != "" && wordByte(text[len(text)-1])
}

// inTag reports whether a word that comes here could become a dollar quote's tag.
func (e *expander) inTag() bool {
	text := e.out.String()
	at := len(text)
	for at > 0 && wordByte(text[at-1]) {
		at--
	}
	return e.DollarQuote && at < len(text) && text[at] == '$'
}

func wordByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// dollarTag returns the $tag$ that s begins with, or "".
func dollarTag(s string) string {
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '$':
			return s[:i+1]
		case !wordByte(c), i == 1 && '0' <= c && c <= '9':
			return ""
		}
	}
	return ""
}

// copy takes n bytes as they are.
func (e *expander) copy(n int) {
	e.out.WriteString(e.script[e.at : e.at+n])
	e.at += n
}

// take copies one byte, or puts a value where a placeholder begins.
func (e *expander) take(p place) error {
	rest := e.script[e.at:]
	if !strings.HasPrefix(rest, "{{") {
		e.copy(1)
		return nil
	}
	name, _, closed := strings.Cut(rest[2:], "}}")
	value, known := e.values[strings.TrimSpace(name)]
	if !closed || !known {
		e.copy(1)
		return nil
	}
	p.body, p.runs = e.depth > 0, e.runs
	p.exact = p.exact || p.quote != 0 && e.inQuotes(len(name)+4)
	text, err := escape(value, p)
	if err == nil && p.quote == 0 && e.inTag() {
		err = errs.New(errs.Invalid, "stands behind a $: set a blank before it")
	}
	if err != nil {
		return errs.Newf(errs.Invalid, "statement %d: the value of {{%s}} %w", e.number(), strings.TrimSpace(name), err)
	}
	e.out.WriteString(text)
	e.at += len(name) + 4
	return nil
}

// inQuotes reports whether the same quote stands right before e.at and n bytes later.
func (e *expander) inQuotes(n int) bool {
	if e.at == 0 || e.at+n >= len(e.script) {
		return false
	}
	q := e.script[e.at-1]
	return (q == '\'' || q == '"') && e.script[e.at+n] == q
}

// quoted copies a string or identifier with its quotes; twice the quote within
// stands for itself.
func (e *expander) quoted(quote byte) error { //nolint:cyclop // a flat list of conditions
	p := place{quote: quote, backslash: e.Backslash && quote != '`' || quote == '\'' && e.escapeString()}
	e.copy(1)
	for e.at < len(e.script) {
		rest := e.script[e.at:]
		switch {
		case rest[0] == '\\' && p.backslash && len(rest) > 1:
			e.copy(2)
		case rest[0] == quote && len(rest) > 1 && rest[1] == quote:
			e.copy(2)
		case rest[0] == quote:
			e.copy(1)
			return nil
		default:
			if err := e.take(p); err != nil {
				return err
			}
		}
	}
	return e.open("a " + string(quote))
}

// escapeString reports whether the string that begins here is PostgreSQL's E'...'.
func (e *expander) escapeString() bool {
	text := e.out.String()
	if e.Backslash || text == "" || text[len(text)-1]|0x20 != 'e' {
		return false
	}
	return len(text) == 1 || !wordByte(text[len(text)-2])
}

// lineEnd copies a comment with the end of its line.
func (e *expander) lineEnd() error {
	for e.at < len(e.script) {
		if e.script[e.at] == '\n' {
			e.copy(1)
			return nil
		}
		if err := e.take(place{quote: '-'}); err != nil {
			return err
		}
	}
	return nil
}

// maxDepth is how many dollar quotes within each other are read as code.
const maxDepth = 4

// dollar copies a dollar quote, which begins here with its tag. To the server it
// is a string, of which nothing but the tag is special; whoever runs it reads it as
// code. A value is put where it changes neither.
func (e *expander) dollar(tag string) error {
	e.code = true
	e.copy(len(tag))
	body, _, closed := strings.Cut(e.script[e.at:], tag)
	if !closed {
		return e.open("a dollar quote")
	}
	text, err := e.body(body)
	if err != nil {
		return err
	}
	if strings.Index(text+tag, tag) != len(text) {
		return errs.Newf(errs.Invalid, "statement %d: a value would end the dollar quote it stands in", e.number())
	}
	e.out.WriteString(text)
	e.at += len(body)
	e.copy(len(tag))
	return nil
}

// body expands what is dollar-quoted: code with quotes of its own, or a
// placeholder and nothing else. In what can be no SQL values must be plain words.
func (e *expander) body(text string) (string, error) {
	in := &expander{Dialect: e.Dialect, script: text, values: e.values, depth: e.depth + 1, before: e.number() - 1}
	if strings.HasPrefix(text, "{{") && strings.Index(text, "}}") == len(text)-2 {
		err := in.take(place{quote: '$', exact: true})
		in.copy(len(in.script) - in.at) // the rest, if it is no placeholder that is known
		return in.out.String(), err
	}
	if in.depth <= maxDepth {
		if err := in.run(); !in.unclosed {
			return in.out.String(), err
		}
	}
	in = &expander{Dialect: e.Dialect, script: text, values: e.values, depth: e.depth + 1, before: in.before}
	for in.at < len(in.script) {
		if err := in.take(place{}); err != nil {
			return "", err
		}
	}
	return in.out.String(), nil
}

// comment copies a comment of slash and star.
func (e *expander) comment() error {
	depth := 1
	e.copy(2)
	for e.at < len(e.script) {
		rest := e.script[e.at:]
		switch {
		case strings.HasPrefix(rest, "*/"):
			e.copy(2)
			if depth--; depth == 0 {
				return nil
			}
		case e.NestComment && strings.HasPrefix(rest, "/*"):
			e.copy(2)
			depth++
		default:
			if err := e.take(place{quote: '-'}); err != nil {
				return err
			}
		}
	}
	return e.open("a comment")
}

// escape returns value as it must be written at a place. Errors continue "the
// value of {{name}}" and do not quote it.
func escape(value string, p place) (string, error) {
	switch {
	case strings.IndexByte(value, 0) >= 0:
		return "", errs.New(errs.Invalid, "holds a NUL byte, which no statement can")
	case p.runs && strings.ContainsAny(value, "*/"): // where it does not run, it is but a comment
		return "", errs.New(errs.Invalid, "stands in a comment, which it could end: it holds a * or /")
	case p.quote == 0:
		if !plainWord(value) {
			return "", errs.New(errs.Invalid, "must stand in quotes here: it is no plain word")
		}
		return value, nil
	case p.quote == '-':
		if !harmless(value) || strings.IndexByte(value, '/') >= 0 {
			return "", errs.New(errs.Invalid, "stands in a comment, and holds more than letters, digits, blanks and _.:+-@=")
		}
		return value, nil
	case p.body:
		return value, fitsBody(value, p)
	}
	if p.backslash {
		value = strings.ReplaceAll(value, `\`, `\\`)
	}
	return strings.ReplaceAll(value, string(p.quote), string([]byte{p.quote, p.quote})), nil
}

// fitsBody is an error unless value can stand, as it is, in quotes that stand in
// a dollar quote. What is in quotes there may be run in its turn (EXECUTE '...'):
// unless the value has quotes of its own it must not be able to begin a comment
// or another word there. The blank of an expiration is between digits.
func fitsBody(value string, p place) error {
	if !harmless(value) {
		return errs.New(errs.Invalid, "stands in a dollar quote, and holds more than letters, digits, blanks and _.:+-@=/$")
	}
	if p.exact {
		return nil
	}
	digit := func(i int) bool { return 0 <= i && i < len(value) && '0' <= value[i] && value[i] <= '9' }
	for i := range len(value) {
		if value[i] == ' ' && !(digit(i-1) && digit(i+1)) || strings.HasPrefix(value[i:], "--") {
			return errs.New(errs.Invalid, "holds a blank or --, and stands among other text in quotes in a dollar quote: give it quotes of its own there, '' or \"")
		}
	}
	return nil
}

// plainWord reports whether value is one word, wherever it stands.
func plainWord(value string) bool {
	for i := range len(value) {
		if !wordByte(value[i]) || value[i] == '$' && i == 0 {
			return false
		}
	}
	return value != ""
}

// harmless reports whether value can end neither quotes nor a dollar quote.
func harmless(value string) bool {
	for i := range len(value) {
		switch c := value[i]; {
		case c == '$':
			if i == 0 || i == len(value)-1 || dollarTag(value[i:]) != "" {
				return false
			}
		case !wordByte(c) && strings.IndexByte(" .:+-@=/", c) < 0:
			return false
		}
	}
	return true
}
