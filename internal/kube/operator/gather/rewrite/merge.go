package rewrite

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// The words of RewriteMerge. The empty ones are the first of each.
const (
	priorityStrict = "Strict"
	priorityIgnore = "IgnoreNotFound"
	conflictError  = "Error"
	conflictIgnore = "Ignore"
	strategyMany   = "Extract"
	strategyJSON   = "JSON"
)

// merged merges the values, each a JSON object, in the order of their keys and
// then of priority: the later wins. Extract makes a key of each of their keys, in
// place of what there was. JSON adds one object, at into.
func merged(op *v1.RewriteMerge, values map[string]redact.Secret) (map[string]redact.Secret, error) {
	if err := checkMerge(op); err != nil {
		return nil, err
	}
	order, err := mergeOrder(op, values)
	if err != nil {
		return nil, err
	}
	all := map[string]json.RawMessage{}
	from := map[string]string{}
	for _, key := range order {
		var object map[string]json.RawMessage
		if json.Unmarshal(values[key].Reveal(), &object) != nil || object == nil { // its error may quote the value
			return nil, errs.Newf(errs.Invalid, ".merge: the value of key %s is not a JSON object", show(key))
		}
		for _, name := range slices.Sorted(maps.Keys(object)) {
			if other, twice := from[name]; twice && op.ConflictPolicy != conflictIgnore {
				return nil, errs.Newf(errs.Invalid, ".merge: %s is in both %s and %s: set conflictPolicy Ignore, and priority for the one that is to win", show(name), show(other), show(key))
			}
			from[name], all[name] = key, object[name]
		}
	}
	var object bytes.Buffer
	enc := json.NewEncoder(&object)
	enc.SetEscapeHTML(false)
	if enc.Encode(all) != nil {
		return nil, errs.New(errs.Invalid, ".merge: the values cannot be written as one JSON object")
	}
	whole := redact.New(bytes.TrimSuffix(object.Bytes(), []byte("\n")))
	if op.Strategy != strategyJSON {
		return provider.Value{Data: whole}.Map()
	}
	out := maps.Clone(values)
	if out == nil {
		out = map[string]redact.Secret{}
	}
	out[op.Into] = whole
	return out, nil
}

func checkMerge(op *v1.RewriteMerge) error {
	for _, f := range []struct {
		field, value string
		words        []string
	}{
		{"priorityPolicy", op.PriorityPolicy, []string{"", priorityStrict, priorityIgnore}},
		{"conflictPolicy", op.ConflictPolicy, []string{"", conflictError, conflictIgnore}},
		{"strategy", op.Strategy, []string{"", strategyMany, strategyJSON}},
	} {
		if !slices.Contains(f.words, f.value) {
			return errs.Newf(errs.Invalid, ".merge.%s %q is not one of %s and %s", f.field, f.value, f.words[1], f.words[2])
		}
	}
	if op.Strategy == strategyJSON && op.Into == "" {
		return errs.New(errs.Invalid, ".merge: strategy JSON needs into, the key of the merged object")
	}
	return nil
}

// mergeOrder returns the keys in the order they are merged in.
func mergeOrder(op *v1.RewriteMerge, values map[string]redact.Secret) ([]string, error) {
	var first, last []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(op.Priority, key) {
			first = append(first, key)
		}
	}
	for i, key := range op.Priority {
		_, there := values[key]
		switch {
		case !there && op.PriorityPolicy != priorityIgnore:
			return nil, errs.Newf(errs.Invalid, ".merge.priority: there is no key %s: correct it, or set priorityPolicy IgnoreNotFound", show(key))
		case there && !slices.Contains(op.Priority[:i], key):
			last = append(last, key)
		}
	}
	return append(first, last...), nil
}
