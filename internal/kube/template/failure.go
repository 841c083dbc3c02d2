package template

import (
	"errors"
	"regexp"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/template/certificate"
)

// publicError is the error of a function of ours whose text names no values.
type publicError struct{ text string }

func (e *publicError) Error() string { return e.text }

func fail(text string) error { return &publicError{text} }

// functionError is the error of a function whose text may hold values, and so is
// not kept.
type functionError struct{ name string }

func (e *functionError) Error() string { return "function " + e.name + " failed" }

func withheld(name string, err error) error {
	var public *publicError
	var limit *limitError
	if errors.As(err, &public) || errors.As(err, &limit) {
		return err
	}
	var known certificate.Error
	if errors.As(err, &known) {
		return fail(known.Error())
	}
	return &functionError{name: name}
}

// place is where an error happened: a template, and whether its own words are
// secret.
type place struct {
	name   string
	secret bool
}

// parsing returns the error of the parser without literals: they may be secret,
// and a text that is no template at all is quoted word by word.
func (p place) parsing(err error) error {
	rest, ok := strings.CutPrefix(err.Error(), "template: "+p.name+":")
	line, reason, _ := strings.Cut(rest, ": ")
	if !ok || !isNumber(line) {
		return errs.Newf(errs.Invalid, "template %s cannot be parsed (the message is withheld, as it may quote the template)", p.name)
	}
	if p.secret || !grammatical().MatchString(reason) {
		reason = "the syntax is wrong (the message is withheld, as it may quote the template)"
	}
	return errs.Newf(errs.Invalid, "template %s:%s: %s", p.name, line, reason)
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// grammatical matches the messages of text/template/parse that quote nothing but
// its keywords and names of variables.
func grammatical() *regexp.Regexp {
	return regexp.MustCompile(`^(unexpected EOF|unexpected \{\{\w+\}\}( in \w+)?|\{\{\w+\}\} outside \{\{range\}\}|missing value for \w+|` +
		`undefined variable "\$\w*"|unclosed (action|comment|left paren)( started at [\w.:]+)?|unexpected right paren|expected :=|empty command|` +
		`comment ends before closing delimiter|unterminated (character constant|quoted string|raw quoted string)|` +
		`non executable command in pipeline stage \d+|range can only initialize variables|too many declarations in \w+|` +
		`max expression depth exceeded|unexpected "[}{=:|,)(]{1,2}" in \w+( clause)?)$`)
}

// factual matches the reasons of text/template that hold only types and
// identifiers.
func factual() *regexp.Regexp {
	return regexp.MustCompile(`^(map has no entry for key "\w+"|nil data; no entry for key "\w+"|can't evaluate field \w+ in type [^:"]*|` +
		`wrong type for value; expected [^:"]*|wrong number of args for \w+: [\w ]+|template "[A-Za-z_][\w.-]{0,63}" not defined|` +
		`nil pointer evaluating [^:"]*|undefined variable: \$\w*|\w+ is not a method but has arguments)$`)
}

// located matches what follows the name: `LINE:COL: executing "NAME" at <NODE>: `.
func located() *regexp.Regexp {
	return regexp.MustCompile(`^(\d+:\d+): executing "(?:[^"\\]|\\.)*" at <((?s:.*?))>: `)
}

// identifiers matches a piece of template without literals.
func identifiers() *regexp.Regexp {
	return regexp.MustCompile(`^[.$A-Za-z][\w.$]*( \|? ?[.$A-Za-z][\w.$]*)*$`)
}

// executing turns an error of an execution into one that tells nothing but where
// and what kind, and a person what to do.
func (p place) executing(err error) error {
	where := "template " + p.name
	rest := strings.TrimPrefix(err.Error(), "template: "+p.name+":")
	if m := located().FindStringSubmatch(rest); m != nil {
		where += ":" + m[1]
		node := m[2]
		if !p.secret && identifiers().MatchString(node) && !strings.Contains(node, " _") {
			where += " at {{" + node + "}}"
		}
		rest = rest[len(m[0]):]
	}
	var limit *limitError
	if errors.As(err, &limit) {
		return errs.Newf(errs.TooLarge, "%s: %s", where, limit.text)
	}
	var ours *publicError
	if errors.As(err, &ours) {
		return errs.Newf(errs.Invalid, "%s: %s", where, ours.text)
	}
	var function *functionError
	if errors.As(err, &function) {
		name := function.name
		if p.secret {
			name = "a function"
		}
		return errs.Newf(errs.Invalid, "%s: %s cannot use what it is given (its message is withheld, as it may hold the value)", where, name)
	}
	if !p.secret && factual().MatchString(rest) {
		return errs.Newf(errs.Invalid, "%s: %s", where, rest)
	}
	return errs.Newf(errs.Invalid, "%s: the value does not fit (the message is withheld, as it may hold it)", where)
}
