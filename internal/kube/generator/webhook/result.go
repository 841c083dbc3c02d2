package webhook

import (
	"encoding/json"
	"regexp"
	"strings"

	"k8s.io/client-go/util/jsonpath"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/redact"
)

var headers = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}$")

// path picks a part of an answer; the zero path the whole of it.
type path struct{ expression *jsonpath.JSONPath }

// maxPath bounds an expression, which anybody may write who may write a generator.
const maxPath = 1024

// parse reads spec.result.jsonPath, such as $.result or $['a b'][0].
func parse(text string) (p path, err error) {
	if text == "" || text == "$" {
		return path{}, nil
	}
	bad := errs.New(errs.Invalid, "spec.result.jsonPath is no JSONPath such as $.result.data")
	if len(text) > maxPath || strings.Count(text, "..") > 1 || strings.Count(text, "*") > 4 || strings.ContainsAny(text, "{}\n") {
		return path{}, bad // several of these together take quadratic time
	}
	defer func() {
		if recover() != nil {
			p, err = path{}, bad
		}
	}()
	if !strings.HasPrefix(text, "$") {
		text = "$." + strings.TrimPrefix(text, ".")
	}
	expression := jsonpath.New("result")
	if expression.Parse("{"+text+"}") != nil {
		return path{}, bad
	}
	return path{expression}, nil
}

// values returns the keys of the object that p picks, or of the one that is written
// in the text that it picks. No error quotes the answer.
func (p path) values(answer []byte) (map[string]redact.Secret, error) {
	object := answer
	if p.expression != nil {
		var ok bool
		if object, ok = p.pick(answer); !ok {
			return nil, errs.New(errs.Invalid, "the webhook's answer is no JSON, or has not exactly one part at spec.result.jsonPath")
		}
	}
	var text string
	if json.Unmarshal(object, &text) == nil {
		object = []byte(text)
	}
	values, err := generator.Values(object)
	if err != nil || len(values) == 0 {
		return nil, errs.New(errs.Invalid, "the webhook's answer, or its part at spec.result.jsonPath, is not a JSON object with keys")
	}
	return values, nil
}

// pick returns the one part of answer at p, as JSON.
func (p path) pick(answer []byte) (part []byte, ok bool) {
	defer func() {
		if recover() != nil { // of a library that is fed by strangers
			part, ok = nil, false
		}
	}()
	dec := json.NewDecoder(strings.NewReader(string(answer)))
	dec.UseNumber()
	var whole any
	if dec.Decode(&whole) != nil {
		return nil, false
	}
	found, err := p.expression.FindResults(whole)
	if err != nil || len(found) != 1 || len(found[0]) != 1 || !found[0][0].CanInterface() {
		return nil, false
	}
	part, err = json.Marshal(found[0][0].Interface())
	return part, err == nil
}
