package access

import (
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Groups that the API server puts requests into by itself.
const (
	Masters         = "system:masters"
	Authenticated   = "system:authenticated"
	Unauthenticated = "system:unauthenticated"
	ServiceAccounts = "system:serviceaccounts"
)

// accountPrefix begins the user name of every ServiceAccount.
const accountPrefix = "system:serviceaccount:"

// Subject is whom a binding names: a User, a Group or a ServiceAccount, as
// rbacv1 spells the kinds. Namespace is a ServiceAccount's. Subjects are compared
// by ==.
type Subject struct {
	Kind      string
	Namespace string
	Name      string
}

// User is one by name.
func User(name string) Subject { return Subject{Kind: rbacv1.UserKind, Name: name} }

// Group is every member of a group.
func Group(name string) Subject { return Subject{Kind: rbacv1.GroupKind, Name: name} }

// ServiceAccount is one of a namespace.
func ServiceAccount(namespace, name string) Subject {
	return Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
}

// String is Kind/name, and Kind/namespace/name of a ServiceAccount.
func (s Subject) String() string {
	if s.Kind == rbacv1.ServiceAccountKind {
		return s.Kind + "/" + s.Namespace + "/" + s.Name
	}
	return s.Kind + "/" + s.Name
}

// Canonical is s as a ServiceAccount if it is a User by the name of one.
func (s Subject) Canonical() Subject {
	if s.Kind != rbacv1.UserKind {
		return s
	}
	if namespace, name, ok := account(s.Name); ok {
		return ServiceAccount(namespace, name)
	}
	return s
}

// account splits the user name of a ServiceAccount.
func account(user string) (namespace, name string, ok bool) {
	rest, ok := strings.CutPrefix(user, accountPrefix)
	if !ok {
		return "", "", false
	}
	namespace, name, ok = strings.Cut(rest, ":")
	return namespace, name, ok && namespace != "" && name != "" && !strings.Contains(name, ":")
}

// Identity is who asks: what authentication made of a request.
type Identity struct {
	Name   string
	Groups []string
}

// Identity is what the API server takes s for: a ServiceAccount with its three
// groups, a user with system:authenticated, or somebody of whom nothing is known
// but one group.
func (s Subject) Identity() Identity {
	s = s.Canonical()
	switch s.Kind {
	case rbacv1.ServiceAccountKind:
		return Identity{
			Name:   accountPrefix + s.Namespace + ":" + s.Name,
			Groups: []string{ServiceAccounts, ServiceAccounts + ":" + s.Namespace, Authenticated},
		}
	case rbacv1.GroupKind:
		if s.Name == Unauthenticated || s.Name == Authenticated {
			return Identity{Groups: []string{s.Name}}
		}
		return Identity{Groups: []string{s.Name, Authenticated}}
	}
	return Identity{Name: s.Name, Groups: []string{Authenticated}}
}

// is reports whether s, as a binding of namespace names it, is who. A
// ServiceAccount without a namespace is one of the binding's; without either it is
// nobody.
func (who Identity) is(s *rbacv1.Subject, namespace string) bool {
	switch s.Kind {
	case rbacv1.UserKind:
		return who.Name == s.Name
	case rbacv1.GroupKind:
		for _, g := range who.Groups {
			if g == s.Name {
				return true
			}
		}
	case rbacv1.ServiceAccountKind:
		if s.Namespace != "" {
			namespace = s.Namespace
		}
		return namespace != "" && isAccount(who.Name, namespace, s.Name)
	}
	return false
}

// isAccount reports whether user is the name of a ServiceAccount, without making
// that name.
func isAccount(user, namespace, name string) bool {
	rest, ok := strings.CutPrefix(user, accountPrefix)
	if !ok {
		return false
	}
	rest, ok = strings.CutPrefix(rest, namespace)
	return ok && len(rest) == len(name)+1 && rest[0] == ':' && rest[1:] == name
}

// subject is s of a binding of namespace, and false if it names nobody.
func subject(s *rbacv1.Subject, namespace string) (Subject, bool) {
	switch s.Kind {
	case rbacv1.UserKind:
		return User(s.Name).Canonical(), true
	case rbacv1.GroupKind:
		return Group(s.Name), true
	case rbacv1.ServiceAccountKind:
		if s.Namespace != "" {
			namespace = s.Namespace
		}
		return ServiceAccount(namespace, s.Name), namespace != ""
	}
	return Subject{}, false
}
