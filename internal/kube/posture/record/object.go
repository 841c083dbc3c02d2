package record

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/strongkeep/strongkeep/internal/kube/posture/looks"
	"github.com/strongkeep/strongkeep/internal/kube/posture/read/document"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Tree is a part of an object in which somebody writes values as they like.
type Tree struct {
	Field string
	Of    any
}

// Object are the values in an object of no kind that is known here: all in its trees;
// elsewhere what looks like a secret by itself, and what is called like one in a pair of
// name and value, as variables and parameters are; and the annotations, with the whole
// object that kubectl apply keeps in one.
func (m *Maker) Object(object map[string]any, annotations map[string]string, trees func(object any) []Tree) []snapshot.Value {
	if m.Key == nil {
		return nil
	}
	within := func(object map[string]any) []snapshot.Value {
		l := leaves{maker: m, left: maxLeaves}
		for _, t := range trees(object) {
			l.add(t.Field, "", t.Of, 0)
		}
		l.sensitive = true
		l.pairs("spec", object["spec"], 0)
		return l.out
	}
	return append(within(object), m.annotations(annotations, func(raw []byte) []snapshot.Value {
		var last map[string]any
		if document.TooLarge(raw) || json.Unmarshal(raw, &last) != nil {
			return nil
		}
		return within(last)
	})...)
}

// pairs adds what looks like a secret in a tree, whatever it is called, and what is
// called like one by the name beside it. What a field's own name says is not asked: it
// is the name of a Secret more often than one.
func (l *leaves) pairs(field string, tree any, depth int) {
	if depth > maxNesting || l.left == 0 {
		return
	}
	switch t := tree.(type) {
	case map[string]any:
		name, _ := t["name"].(string)
		for _, k := range slices.Sorted(maps.Keys(t)) {
			at := field + "." + shown(k)
			if text, ok := t[k].(string); ok && k == "value" && name != "" {
				l.text(at, name, text)
				continue
			}
			l.pairs(at, t[k], depth+1)
		}
	case []any:
		for i, v := range t {
			l.pairs(field+"["+strconv.Itoa(i)+"]", v, depth+1)
		}
	case string:
		if looks.Rank(looks.Of("", []byte(t))) > looks.Rank(snapshot.LooksNamed) {
			l.text(field, "", t)
		}
	}
}

// text adds one that looks like a secret, unless a tree has it already.
func (l *leaves) text(field, key, text string) {
	if slices.ContainsFunc(l.out, func(v snapshot.Value) bool { return v.Field == field }) {
		return
	}
	l.add(field, key, text, 0)
}
