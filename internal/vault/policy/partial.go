package policy

import (
	"reflect"
	"slices"

	"github.com/strongkeep/strongkeep/internal/vault/policy/template"
)

// Doubtful reports whether what p says about q cannot be known of somebody of
// whom nothing is known but the ID of their entity: a rule whose template stands
// for something else could match. It errs on yes. The path of q is within the
// policy's namespace.
func (p *Policy) Doubtful(entity string, q Query) bool {
	return p != nil && p.templated && slices.ContainsFunc(p.rules, func(r *rule) bool {
		if r.template == nil {
			return false
		}
		wide, exact := r.widest(entity)
		return !exact && wide.matches(q)
	})
}

// SayAlike reports whether two policies, nil for one that does not exist, have
// the same rules about q, so that it makes no difference which one holds, whoever
// asks. It errs on no. Query and entity are as of Doubtful.
func SayAlike(a, b *Policy, entity string, q Query) bool {
	return slices.EqualFunc(a.about(entity, q), b.about(entity, q), func(r, o *rule) bool {
		return r.pathText() == o.pathText() && r.caps == o.caps && r.minWrap == o.minWrap && r.maxWrap == o.maxWrap &&
			reflect.DeepEqual(r.allowed, o.allowed) && reflect.DeepEqual(r.denied, o.denied) && slices.Equal(r.required, o.required)
	})
}

// about returns the rules that could match q.
func (p *Policy) about(entity string, q Query) (some []*rule) {
	if p == nil {
		return nil
	}
	for _, r := range p.rules {
		if wide, _ := r.widest(entity); wide.matches(q) {
			some = append(some, r)
		}
	}
	return some
}

// widest returns the rule for all paths that it could be for, if an entity has
// this ID and nothing else is known of it. exact: these are the very ones.
func (r *rule) widest(entity string) (wide *rule, exact bool) {
	if r.template == nil {
		return r, true
	}
	own := *r
	own.path, exact = r.template.Widest(func(v template.Variable) string {
		if v.Subject == template.Entity && v.Attribute == template.ID {
			return entity
		}
		return ""
	}, r.caps&Deny != 0)
	own.template = nil
	return &own, exact
}
