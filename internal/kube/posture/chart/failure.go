package chart

import (
	"regexp"
	"slices"
	"strings"

	v2 "helm.sh/helm/v4/pkg/chart/v2"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// What a template engine says, and what may be told of it: places in templates, names
// of functions and fields, types. All else may be a value, or a part of one.
var (
	place  = regexp.MustCompile(`([\w.+-]+(?:/[\w.+-]+)+):(\d+)(?::(\d+))?`)
	stated = regexp.MustCompile(`^execution error at \([^()]*\): ((?s).*)$`)
	said   = []struct {
		is   *regexp.Regexp
		told string
	}{
		{regexp.MustCompile(`function "(\w+)" not defined`), "there is no function $1"},
		{regexp.MustCompile(`no template "[^"]*" associated`), "the template that it includes is not there"},
		{regexp.MustCompile(`nil pointer evaluating`), "a value is not there, and a part of it is asked for"},
		{regexp.MustCompile(`can't evaluate field (\w+) in type`), "there is no field $1"},
		{regexp.MustCompile(`nested reference name`), "templates include each other too deep"},
		{regexp.MustCompile(`range can't iterate over`), "what it ranges over is no list"},
		{regexp.MustCompile(`wrong type for value; expected ([\w\]\[.{}* ]+); got ([\w\]\[.{}* ]+)`), "a value has the wrong type: $1 is wanted, $2 is given"},
		{regexp.MustCompile(`(?s).*error calling (\w+)`), "$1 fails"},
		{regexp.MustCompile(`^parse error|unexpected|unclosed|unterminated`), "this is no template"},
	}
)

// failed says where a template failed and what kind of thing went wrong. Its own
// words (of fail and required) are told if they stand in a template as they are.
func (c *loaded) failed(err error) error {
	text := err.Error()
	sources := c.sources()
	var places []string
	for _, m := range place.FindAllStringSubmatch(text, -1) {
		if _, ours := sources[m[1]]; ours && !slices.Contains(places, m[0]) {
			places = append(places, m[0])
		}
	}
	at := "a template"
	if len(places) > 0 {
		at = places[0]
		if inner := places[len(places)-1]; inner != at {
			at += ", in " + inner
		}
	}
	return errs.Newf(errs.Invalid, "%s: %s", at, told(text, sources))
}

func told(text string, sources map[string]string) string {
	if m := stated.FindStringSubmatch(text); m != nil {
		words := strings.TrimSpace(m[1])
		for _, source := range sources {
			if words != "" && strings.Contains(source, words) {
				return words
			}
		}
		return "the template refuses: a value is missing or wrong"
	}
	for _, s := range said {
		if m := s.is.FindStringSubmatchIndex(text); m != nil {
			return string(s.is.ExpandString(nil, s.told, text, m))
		}
	}
	return "it cannot be executed"
}

// sources are the texts of all templates, by the names that the engine has for them.
func (c *loaded) sources() map[string]string {
	out := map[string]string{}
	var add func(c *v2.Chart)
	add = func(c *v2.Chart) {
		for _, t := range c.Templates {
			out[c.ChartFullPath()+"/"+t.Name] = string(t.Data)
		}
		for _, d := range c.Dependencies() {
			add(d)
		}
	}
	add(c.Chart)
	return out
}
