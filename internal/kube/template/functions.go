package template

import (
	"fmt"
	"regexp"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

// functions is every function a template may call beside those of
// text/template that cannot grow or leak. It is written once, here.
var functions = collect()

// names is functions as the parser wants them, and the tick.
var names = func() template.FuncMap {
	out := template.FuncMap{tickName: func() string { return "" }}
	for name, f := range functions {
		out[name] = f
	}
	return out
}()

// collect takes sprig's functions, without those that read the environment or
// ask the network, and puts ours over them.
func collect() map[string]any {
	out := sprig.TxtFuncMap()
	for _, name := range []string{"env", "expandenv", "getHostByName"} {
		delete(out, name)
	}
	for name, f := range map[string]any{
		// Those of text/template whose result can be larger than their arguments.
		"print":    fmt.Sprint,
		"println":  fmt.Sprintln,
		"printf":   fmt.Sprintf,
		"html":     template.HTMLEscaper,
		"js":       template.JSEscaper,
		"urlquery": template.URLQueryEscaper,
		// sprig's panic or grow without bound.
		"regexReplaceAll":     regexReplaceAll,
		"mustRegexReplaceAll": regexReplaceAll,
	} {
		out[name] = f
	}
	for name, f := range own() {
		out[name] = f
	}
	return out
}

// regexReplaceAll is sprig's with a bound: $1 in the replacement may copy all
// of s for every match.
func regexReplaceAll(expression, s, replacement string) (string, error) {
	re, err := regexp.Compile(expression)
	if err != nil {
		return "", &publicError{"the regular expression is wrong"}
	}
	var out []byte
	end := 0
	for _, match := range re.FindAllStringSubmatchIndex(s, -1) {
		out = append(out, s[end:match[0]]...)
		out = re.ExpandString(out, replacement, s, match)
		end = match[1]
		if len(out) > 8<<20 {
			return "", errProduced()
		}
	}
	return string(append(out, s[end:]...)), nil
}
