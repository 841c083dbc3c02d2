// Package policy says how old a credential may get, by its class, as
// RotationPolicies have it.
//
// Start reading at Set.
package policy

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Credential is what is known of one credential.
type Credential struct {
	Class      string     // named by its Rotation; empty: by the two below
	SecretType string     // such as kubernetes.io/tls; empty when it is no Secret
	Labels     labels.Set // of the Secret
}

// Limit is what policies say of a credential; the strictest of several.
type Limit struct {
	Class     string        // the strictest one's; empty: no policy has a word
	Policy    string        // its name
	MaxAge    time.Duration // 0: no limit by age
	Before    time.Duration // how long before MaxAge it is due
	Forbidden bool
}

// State is how a credential stands.
type State string

// The states, worst first.
const (
	Forbidden State = "Forbidden" // it must not be stored at all
	Overdue   State = "Overdue"
	Due       State = "Due"
	Fresh     State = "Fresh"
	Unlimited State = "Unlimited" // no policy limits its age
)

// At returns how a credential of that age stands.
func (l Limit) At(age time.Duration) State {
	switch {
	case l.Forbidden:
		return Forbidden
	case l.MaxAge <= 0:
		return Unlimited
	case age >= l.MaxAge:
		return Overdue
	case age >= l.MaxAge-l.Before:
		return Due
	}
	return Fresh
}

// Set is RotationPolicies, ready to be asked. It is safe for concurrent use.
type Set struct{ policies []compiled }

type compiled struct {
	name       string
	namespaces labels.Selector
	classes    []class
}

type class struct {
	limit    Limit
	types    []string
	selector labels.Selector // nil: none
}

// Compile reads policies. What cannot be meant is left out, and err, Invalid,
// says what; the rest can be asked all the same.
func Compile(policies []v1alpha1.RotationPolicy) (s Set, err error) {
	for i := range policies {
		p, wrong := compile(&policies[i])
		if wrong != nil {
			err = errs.Newf(errs.Invalid, "RotationPolicy %s: %w", policies[i].Name, wrong)
			continue
		}
		s.policies = append(s.policies, p)
	}
	return s, err
}

func compile(p *v1alpha1.RotationPolicy) (compiled, error) {
	out := compiled{name: p.Name, namespaces: labels.Everything()}
	var err error
	if p.Spec.NamespaceSelector != nil {
		if out.namespaces, err = metav1.LabelSelectorAsSelector(p.Spec.NamespaceSelector); err != nil {
			return out, errs.Newf(errs.Invalid, "namespaceSelector: %w", err)
		}
	}
	for _, c := range p.Spec.Classes {
		k := class{limit: Limit{Class: c.Name, Policy: p.Name, Forbidden: c.Forbidden}, types: c.SecretTypes}
		if c.MaxAge != nil {
			k.limit.MaxAge = c.MaxAge.Duration
		}
		if c.Before != nil {
			k.limit.Before = c.Before.Duration
		}
		if k.limit.MaxAge < 0 || k.limit.Before < 0 || k.limit.Before > 0 && k.limit.Before >= k.limit.MaxAge {
			return out, errs.Newf(errs.Invalid, "class %s: before must be less than maxAge, and neither below 0", c.Name)
		}
		if c.Selector != nil {
			if k.selector, err = metav1.LabelSelectorAsSelector(c.Selector); err != nil {
				return out, errs.Newf(errs.Invalid, "class %s: selector: %w", c.Name, err)
			}
		}
		out.classes = append(out.classes, k)
	}
	return out, nil
}

// Scoped reports whether labels of namespaces matter.
func (s Set) Scoped() bool {
	return slices.ContainsFunc(s.policies, func(p compiled) bool { return !p.namespaces.Empty() })
}

// Evaluate returns the limit of a credential in a namespace with those labels.
func (s Set) Evaluate(namespace labels.Set, c Credential) Limit {
	var limit Limit
	for i := range s.policies {
		p := &s.policies[i]
		if !p.namespaces.Matches(namespace) {
			continue
		}
		for j := range p.classes {
			if p.classes[j].has(c) {
				limit = limit.and(p.classes[j].limit)
			}
		}
	}
	return limit
}

func (k *class) has(c Credential) bool {
	if c.Class != "" {
		return c.Class == k.limit.Class
	}
	return c.SecretType != "" && slices.Contains(k.types, c.SecretType) || k.selector != nil && k.selector.Matches(c.Labels)
}

// and returns the stricter of both: a prohibition, else the smaller age, and of
// those the one that is due first.
func (l Limit) and(other Limit) Limit {
	switch {
	case l.Class == "" || other.Forbidden && !l.Forbidden:
		return other
	case l.Forbidden || other.MaxAge <= 0:
		return l
	case l.MaxAge <= 0 || other.MaxAge < l.MaxAge, other.MaxAge == l.MaxAge && other.Before > l.Before:
		return other
	}
	return l
}
