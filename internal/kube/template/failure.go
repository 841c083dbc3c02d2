package template

import (
	"errors"
	"regexp"
	"strings"
	"text/template"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// publicError is the error of a function of ours whose text names no values.
type publicError struct{ text string }

func (e *publicError) Error() string { return e.text }

// functionError is the error of a function whose text may hold values.
type functionError struct {
	name  string
	cause string // "" unless it turns out to stand in the template
}

func (e *functionError) Error() string { return "function " + e.name + " failed" }

func withheld(name string, err error) error {
	var public *publicError
	var limit *limitError
	if errors.As(err, &public) || errors.As(err, &limit) {
		return err
	}
	return &functionError{name: name, cause: err.Error()}
}

// public matches the reasons of text/template that hold only types and words of
// the template.
var public = regexp.MustCompile(`^(map has no entry for key "[^"]*"|nil data; no entry for key "[^"]*"|can't evaluate field \w+ in type [^:]*|` +
	`wrong type for value; expected [^:]*|wrong number of args for \w+: .*|template "[^"]*" not defined|` +
	`nil pointer evaluating [^:]*|undefined variable: .*|can't give argument to non-function .*)$`)

// location matches `template: NAME:LINE:COL: executing "NAME" at <NODE>: `. All
// of it is from the template.
var location = regexp.MustCompile(`(?s)^template: (.*?:\d+(?::\d+)?): executing "[^"]*" at <(.*?)>: `)

// explain turns an error of an execution into one that tells nothing but where
// and what kind, and a person what to do.
func explain(name, source string, err error) error {
	where := "template " + name
	rest := err.Error()
	if m := location.FindStringSubmatchIndex(rest); m != nil {
		where = "template " + rest[m[2]:m[3]]
		if node := rest[m[4]:m[5]]; strings.Contains(source, strings.TrimSuffix(node, "...")) {
			where += " at {{" + node + "}}"
		}
		rest = rest[m[1]:]
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
		if c := function.cause; len(c) > 2 && strings.Contains(source, c) {
			return errs.Newf(errs.Invalid, "%s: %s: %s", where, function.name, c)
		}
		return errs.Newf(errs.Invalid, "%s: %s cannot use what it is given (its message is withheld, as it may hold the value)", where, function.name)
	}
	var exec template.ExecError
	if strings.HasPrefix(rest, "exceeded maximum template depth") {
		return errs.Newf(errs.TooLarge, "%s: %s", where, rest)
	}
	if errors.As(err, &exec) && public.MatchString(rest) {
		return errs.Newf(errs.Invalid, "%s: %s", where, rest)
	}
	return errs.Newf(errs.Invalid, "%s: the value does not fit (the message is withheld, as it may hold it)", where)
}
