package provider

import (
	"strconv"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Scope is the reach of one store: which namespaces its settings may refer to.
// The zero Scope reaches nothing. It is made only from the store that refers.
type Scope struct {
	store v1.StoreKey
	every bool // it reaches every namespace
}

// ScopeOf returns the scope of s: its own namespace for a SecretStore; for a
// ClusterSecretStore, which only a cluster administrator can make, whatever
// namespace each reference names.
func ScopeOf(s v1.Store) Scope {
	key := v1.KeyOf(s)
	return Scope{key, key.Kind == v1.KindClusterSecretStore}
}

// ScopeOfGenerator returns the scope of a generator of some kind: the namespace of
// the object that uses it, also of a ClusterGenerator, which stands in none. Of which
// kind it is may be the word of whoever writes in that namespace: none reaches further.
func ScopeOfGenerator(kind, name, usedIn string) Scope {
	return Scope{store: v1.StoreKey{Kind: kind, Namespace: usedIn, Name: name}}
}

// Store returns the store, or the generator, this scope belongs to.
func (s Scope) Store() v1.StoreKey { return s.store }

// Ref names an object in a namespace that its scope reaches. The zero Ref names nothing.
type Ref struct{ namespace, name string }

// Namespace returns the namespace.
func (r Ref) Namespace() string { return r.namespace }

// Name returns the name.
func (r Ref) Name() string { return r.name }

// String returns "namespace/name".
func (r Ref) String() string { return r.namespace + "/" + r.name }

// Ref resolves a reference found at field (for the message, such as
// "auth.tokenSecretRef"). A SecretStore that names another namespace than its
// own and a ClusterSecretStore that names none are Invalid.
func (s Scope) Ref(field string, namespace *string, name string) (Ref, error) {
	if name == "" {
		return Ref{}, errs.Newf(errs.Invalid, "%s: name is missing", field)
	}
	named := ""
	if namespace != nil {
		named = *namespace
	}
	switch {
	case s.every:
		if named == "" {
			return Ref{}, errs.Newf(errs.Invalid, "%s: a ClusterSecretStore must name the namespace of %q", field, name)
		}
		return Ref{named, name}, nil
	case s.store.Kind != "" && s.store.Namespace != "":
		if named != "" && named != s.store.Namespace {
			return Ref{}, errs.Newf(errs.Invalid, "%s: %s, not %q; %s", field, s.reach(), named, s.instead())
		}
		return Ref{s.store.Namespace, name}, nil
	}
	return Ref{}, errs.Newf(errs.Internal, "%s: resolving a reference without a store", field)
}

func (s Scope) reach() string {
	if s.store.Kind == v1.KindSecretStore {
		return "a SecretStore reads only its own namespace " + strconv.Quote(s.store.Namespace)
	}
	return "a generator reads only the namespace that uses it, here " + strconv.Quote(s.store.Namespace)
}

func (s Scope) instead() string {
	if s.store.Kind == v1.KindSecretStore {
		return "leave namespace out or use a ClusterSecretStore"
	}
	return "leave namespace out"
}
