package chart

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	v2 "helm.sh/helm/v4/pkg/chart/v2"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// types are the ones that are told: in their place a value may stand, where a function
// quotes it.
const types = `string|bool|int|int64|float64|\[\](?:any|interface \{\})|map\[string\](?:any|interface \{\})`

// What a template engine says, and what may be told of it: places in templates, names
// of functions and fields, types. All else may be a value, or a part of one.
var (
	place  = regexp.MustCompile(`([\w.+-]+(?:/[\w.+-]+)+):(\d+)(?::(\d+))?`)
	stated = regexp.MustCompile(`^execution error at \([^()]*\): ((?s).*)$`)
	said   = []saying{
		{is: regexp.MustCompile(`function "(\w+)" not defined`), told: "there is no function $1", name: "a function that it calls is not there"},
		{is: regexp.MustCompile(`no template "[^"]*" associated`), told: "the template that it includes is not there"},
		{is: regexp.MustCompile(`nil pointer evaluating`), told: "a value is not there, and a part of it is asked for"},
		{is: regexp.MustCompile(`can't evaluate field (\w+) in type`), told: "there is no field $1", name: "a field is not there"},
		{is: regexp.MustCompile(`nested reference name|maximum template depth`), told: "templates include each other too deep"},
		{is: regexp.MustCompile(`range can't iterate over`), told: "what it ranges over is no list"},
		{is: regexp.MustCompile(`wrong type for value; expected (` + types + `); got (` + types + `)`), told: "a value has the wrong type: $1 is wanted, $2 is given"},
		{is: regexp.MustCompile(`wrong type for value`), told: "a value has the wrong type"},
		{is: regexp.MustCompile(`(?s).*error calling (\w+)`), told: "$1 fails", name: "a function that it calls fails"},
		{is: regexp.MustCompile(`^parse error|unexpected|unclosed|unterminated`), told: "this is no template"},
	}
)

// saying is something that a template engine says.
type saying struct {
	is   *regexp.Regexp
	told string
	// name is told instead if $1, a name, is of no template; "" if there is no name in it.
	name string
}

// failed says where a template failed and what kind of thing went wrong. Its own
// words are told if a template has them as they are behind fail or required.
func (c *loaded) failed(err error) error {
	text := err.Error()
	sources := c.sources()
	var places []string
	for _, m := range place.FindAllStringSubmatch(text, -1) {
		source, ours := sources[m[1]]
		if line, err := strconv.Atoi(m[2]); err != nil || line > strings.Count(source, "\n")+1 {
			continue // a number that a value gave
		}
		if ours && !slices.Contains(places, m[0]) {
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
		is := regexp.MustCompile("(?:fail|required)\\s*\\(?\\s*[\"`]\\s*" + regexp.QuoteMeta(words) + "\\s*[\"`]")
		for _, source := range sources {
			if is.MatchString(source) {
				return words
			}
		}
		return "the template refuses: a value is missing or wrong"
	}
	for _, s := range said {
		if m := s.is.FindStringSubmatchIndex(text); m != nil {
			return s.says(text, m, sources)
		}
	}
	return "it cannot be executed"
}

// says tells what was said, with the names in it if they are of a template's text: a
// value that is itself taken for a template may name functions and fields too.
func (s *saying) says(text string, at []int, sources map[string]string) string {
	if s.name != "" && !written(text[at[2]:at[3]], sources) {
		return s.name
	}
	return string(s.is.ExpandString(nil, s.told, text, at))
}

// written reports whether a word stands in a template.
func written(word string, sources map[string]string) bool {
	is := regexp.MustCompile(`\b` + regexp.QuoteMeta(word) + `\b`)
	for _, source := range sources {
		if is.MatchString(source) {
			return true
		}
	}
	return false
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
