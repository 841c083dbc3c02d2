// Package policy says how old a credential may get, by its class, as
// RotationPolicies have it.
//
// Start reading at Set.
package policy

import (
	"iter"
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
	Unknown   State = "Unknown" // a policy about it cannot be meant
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
	namespaces labels.Selector // everything, where the policy's own cannot be meant
	classes    []class
}

type class struct {
	limit    Limit
	types    []string
	selector labels.Selector // nil: none
	// wrong is why the class cannot be meant, Invalid; it has no limit then.
	wrong error
}

// Compile reads policies. What cannot be meant has no limit, and err, Invalid,
// says what it is; the rest can be asked all the same. Wrong says whom it is about.
func Compile(policies []v1alpha1.RotationPolicy) (s Set, err error) {
	for i := range policies {
		p := compile(&policies[i])
		for j := range p.classes {
			if err == nil {
				err = p.classes[j].wrong
			}
		}
		s.policies = append(s.policies, p)
	}
	return s, err
}

func compile(p *v1alpha1.RotationPolicy) compiled {
	out := compiled{name: p.Name, namespaces: labels.Everything()}
	var wrong error
	if p.Spec.NamespaceSelector != nil {
		selector, err := metav1.LabelSelectorAsSelector(p.Spec.NamespaceSelector)
		if err != nil {
			wrong = errs.Newf(errs.Invalid, "namespaceSelector: %w", err)
		} else {
			out.namespaces = selector
		}
	}
	for i := range p.Spec.Classes {
		k, err := classOf(&p.Spec.Classes[i])
		if err == nil {
			err = wrong
		}
		k.limit.Policy = p.Name
		if err != nil {
			k.limit = Limit{Class: k.limit.Class, Policy: p.Name}
			k.wrong = errs.Newf(errs.Invalid, "RotationPolicy %s: %w; mend it: kubectl edit rotationpolicy.strongkeep.io %s", p.Name, err, p.Name)
		}
		out.classes = append(out.classes, k)
	}
	return out
}

func classOf(c *v1alpha1.CredentialClass) (class, error) {
	k := class{limit: Limit{Class: c.Name, Forbidden: c.Forbidden}, types: c.SecretTypes}
	if c.MaxAge != nil {
		k.limit.MaxAge = c.MaxAge.Duration
	}
	if c.Before != nil {
		k.limit.Before = c.Before.Duration
	}
	if k.limit.MaxAge < 0 || k.limit.Before < 0 || k.limit.Before > 0 && k.limit.Before >= k.limit.MaxAge {
		return k, errs.Newf(errs.Invalid, "class %s: before must be less than maxAge, and neither below 0", c.Name)
	}
	if c.Selector != nil {
		selector, err := metav1.LabelSelectorAsSelector(c.Selector)
		if err != nil {
			return k, errs.Newf(errs.Invalid, "class %s: selector: %w", c.Name, err)
		}
		k.selector = selector
	}
	return k, nil
}

// Scoped reports whether labels of namespaces matter.
func (s Set) Scoped() bool {
	return slices.ContainsFunc(s.policies, func(p compiled) bool { return !p.namespaces.Empty() })
}

// Evaluate returns the limit of a credential in a namespace with those labels.
func (s Set) Evaluate(namespace labels.Set, c Credential) Limit {
	var limit Limit
	for k := range s.about(namespace, c) {
		if k.wrong == nil {
			limit = limit.and(k.limit)
		}
	}
	return limit
}

// Wrong returns why it is not known what policies say of a credential, Invalid:
// one that is about it, or may be, cannot be meant. nil: it is known.
func (s Set) Wrong(namespace labels.Set, c Credential) error {
	for k := range s.about(namespace, c) {
		if k.wrong != nil {
			return k.wrong
		}
	}
	return nil
}

// about yields the classes that a credential belongs to.
func (s Set) about(namespace labels.Set, c Credential) iter.Seq[*class] {
	return func(yield func(*class) bool) {
		for i := range s.policies {
			p := &s.policies[i]
			if !p.namespaces.Matches(namespace) {
				continue
			}
			for j := range p.classes {
				if p.classes[j].has(c) && !yield(&p.classes[j]) {
					return
				}
			}
		}
	}
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
