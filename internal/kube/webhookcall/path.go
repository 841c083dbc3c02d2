package webhookcall

import (
	"encoding/json"
	"io"
	"regexp"
	"strings"

	"k8s.io/client-go/util/jsonpath"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Path picks parts of an answer; the zero Path the whole of it.
type Path struct{ expression *jsonpath.JSONPath }

// maxPath bounds an expression, which anybody may write who may write a store.
const maxPath = 1024

// quoted are names in quotes, of which the library knows single ones only, and takes
// what is special behind a backslash.
var (
	quoted  = regexp.MustCompile(`\[(?:"[^"'\\]*"|'[^"'\\]*')\]`)
	special = regexp.MustCompile(`[^A-Za-z0-9_]`)
)

// unquote writes quoted names as the library reads them.
func unquote(text string) string {
	return quoted.ReplaceAllStringFunc(text, func(name string) string {
		return "['" + special.ReplaceAllString(name[2:len(name)-2], `\$0`) + "']"
	})
}

// ParsePath reads a JSONPath, such as $.result or $['a b'][0]. field names it in the error.
func ParsePath(field, text string) (p Path, err error) {
	if text == "" || text == "$" {
		return Path{}, nil
	}
	bad := errs.New(errs.Invalid, field+" is no JSONPath such as $.result.data")
	if len(text) > maxPath || strings.Count(text, "..") > 1 || strings.Count(text, "*") > 4 || strings.ContainsAny(text, "{}\n") {
		return Path{}, bad // several of these together take quadratic time
	}
	defer func() {
		if recover() != nil {
			p, err = Path{}, bad
		}
	}()
	if !strings.HasPrefix(text, "$") {
		text = "$." + strings.TrimPrefix(text, ".")
	}
	expression := jsonpath.New("result")
	if expression.Parse("{"+unquote(text)+"}") != nil {
		return Path{}, bad
	}
	return Path{expression}, nil
}

// Whole reports whether p picks all of an answer.
func (p Path) Whole() bool { return p.expression == nil }

// maxParts bounds what one expression may pick.
const (
	maxParts = 1000
	maxBytes = 8 << 20 // of all parts: one may be within the other
)

// Pick returns the parts of answer at p, as JSON; false when answer is no JSON, or has
// nothing there.
func (p Path) Pick(answer []byte) (parts []json.RawMessage, ok bool) {
	defer func() {
		if recover() != nil { // of a library that is fed by strangers
			parts, ok = nil, false
		}
	}()
	dec := json.NewDecoder(strings.NewReader(string(answer)))
	dec.UseNumber()
	var whole any
	if dec.Decode(&whole) != nil {
		return nil, false
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, false
	}
	found, err := p.expression.FindResults(whole)
	if err != nil || len(found) != 1 || len(found[0]) == 0 || len(found[0]) > maxParts {
		return nil, false
	}
	total := 0
	for _, value := range found[0] {
		if !value.CanInterface() {
			return nil, false
		}
		part, err := json.Marshal(value.Interface())
		if total += len(part); err != nil || total > maxBytes {
			return nil, false
		}
		parts = append(parts, part)
	}
	return parts, true
}
