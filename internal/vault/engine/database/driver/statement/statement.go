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
		all = append(all, e.done...)
	}
	return all, nil
}

// expander walks over one script.
type expander struct {
	Dialect
	script string
	at     int
	values map[string]string
	out    strings.Builder // of the statement so far
	code   bool            // the statement holds more than blanks and comments
	done   []string
}

// place is what surrounds a placeholder.
type place struct {
	quote     byte // ', " or `; '$' for a dollar quote, '-' for a comment, 0 for none
	backslash bool // a backslash escapes here
}

func (e *expander) run() error {
	for e.at < len(e.script) {
		if err := e.step(); err != nil {
			return err
		}
	}
	e.end()
	return nil
}

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
	case c == ';':
		e.at++
		e.end()
		return nil
	case c == '\'' || c == '"' || c == '`' && e.Backtick:
		e.code = true
		return e.quoted(c)
	case e.lineComment(rest):
		return e.until("\n", place{quote: '-'})
	case strings.HasPrefix(rest, "/*"):
		return e.comment()
	case c == '$' && e.DollarQuote && !e.afterWord():
		if tag := dollarTag(rest); tag != "" {
			e.code = true
			e.copy(len(tag))
			return e.until(tag, place{quote: '$'})
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
// a$b$ is an identifier and no dollar quote.
func (e *expander) afterWord() bool { return e.at > 0 && wordByte(e.script[e.at-1]) }

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
	text, err := escape(value, p)
	if err != nil {
		return errs.Newf(errs.Invalid, "statement %d: the value of {{%s}} %w", len(e.done)+1, strings.TrimSpace(name), err)
	}
	e.out.WriteString(text)
	e.at += len(name) + 4
	return nil
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
	return errs.Newf(errs.Invalid, "statement %d: a %c is never closed", len(e.done)+1, quote)
}

// escapeString reports whether the string that begins here is PostgreSQL's E'...'.
func (e *expander) escapeString() bool {
	if e.Backslash || e.at == 0 || e.script[e.at-1]|0x20 != 'e' {
		return false
	}
	return e.at == 1 || !wordByte(e.script[e.at-2])
}

// until copies up to and including mark, or to the end of a comment's script.
func (e *expander) until(mark string, p place) error {
	for e.at < len(e.script) {
		if strings.HasPrefix(e.script[e.at:], mark) {
			e.copy(len(mark))
			return nil
		}
		if err := e.take(p); err != nil {
			return err
		}
	}
	if p.quote == '$' {
		return errs.Newf(errs.Invalid, "statement %d: a dollar quote is never closed", len(e.done)+1)
	}
	return nil
}

// comment copies a comment of slash and star. MySQL runs what is in /*! ... */.
func (e *expander) comment() error {
	e.code = e.code || e.HashComment && strings.HasPrefix(e.script[e.at:], "/*!")
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
	return errs.Newf(errs.Invalid, "statement %d: a comment is never closed", len(e.done)+1)
}

// escape returns value as it must be written at a place.
func escape(value string, p place) (string, error) {
	if strings.IndexByte(value, 0) >= 0 {
		return "", errs.New(errs.Invalid, "holds a NUL byte, which no statement can")
	}
	switch p.quote {
	case '\'', '"', '`':
		if p.backslash {
			value = strings.ReplaceAll(value, `\`, `\\`)
		}
		return strings.ReplaceAll(value, string(p.quote), string([]byte{p.quote, p.quote})), nil
	}
	if value == "" && p.quote == 0 {
		return "", errs.New(errs.Invalid, "must stand in quotes here: it is empty")
	}
	for i := range len(value) {
		if !bareByte(value, i, p) {
			return "", errs.New(errs.Invalid, "must stand in quotes here: it is no plain word")
		}
	}
	return value, nil
}

// bareByte reports whether value[i] changes nothing where p is not a quote: a
// byte of a word, and within a dollar quote or comment also what can neither
// end it nor a quote inside it.
func bareByte(value string, i int, p place) bool {
	c := value[i]
	switch {
	case c == '$':
		return p.quote == 0 && i > 0 || p.quote != 0 && i > 0 && i < len(value)-1 && dollarTag(value[i:]) == ""
	case wordByte(c):
		return true
	}
	return p.quote != 0 && strings.IndexByte(" .:+-@=/", c) >= 0
}
