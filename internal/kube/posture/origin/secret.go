package origin

import (
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Outside reports whether content of this origin lives outside the cluster and follows
// that: in a manager of secrets, or at an issuer.
func (k Kind) Outside() bool { return k == Store || k == Generator || k == Issuer }

// Written reports whether the value itself stands somewhere in a manifest, a chart or code.
func (k Kind) Written() bool { return k == Manifest || k == GitOps || k == Helm }

// MadeUp reports whether a program in the cluster makes the content up, and is its source.
func (k Kind) MadeUp() bool { return k == Operator || k == Client }

// Managed reports whether the content of s comes from outside the cluster and
// follows it there: from a manager of secrets, an issuer, or by a copy of such.
func (x *Index) Managed(s *snapshot.Secret) bool {
	for range 5 { // a copy of a copy of a copy
		o := x.Secret(s)
		if o.Kind != Mirror {
			return o.Kind.Outside()
		}
		if o.By.Kind != "Secret" {
			return false
		}
		if s = x.secrets[path.Name{Namespace: o.By.Namespace, Name: o.By.Name}]; s == nil {
			return false
		}
	}
	return false
}

// Credential reports whether s may hold a credential of somebody's: neither
// Kubernetes' own tokens nor Helm's records, and not only what is public.
func Credential(s *snapshot.Secret) bool {
	if s.Release != nil || s.Type == releaseType || s.Type == tokenType || s.Type == bootstrapType {
		return false
	}
	if !s.Read || len(s.Keys) == 0 {
		return !s.Read
	}
	if len(s.Values) < len(s.Keys) {
		return true
	}
	for i := range s.Values {
		if v := &s.Values[i]; !strings.HasPrefix(v.Field, "metadata") && v.Looks != snapshot.LooksCert && v.Looks != snapshot.LooksReference {
			return true
		}
	}
	return false
}

// Ref names s.
func Ref(s *snapshot.Secret) snapshot.Ref {
	return snapshot.Ref{Kind: "Secret", Namespace: s.Namespace, Name: s.Name}
}

// StoreFor is the kind and name of a store that namespace may use, the first there is,
// for a patch to begin with.
func (x *Index) StoreFor(namespace string) (kind, name string) {
	for i := range x.snapshot.Stores {
		if s := &x.snapshot.Stores[i]; s.Namespace == namespace || s.Kind == "ClusterSecretStore" && x.snapshot.Using(s)(namespace) {
			return s.Kind, s.Name
		}
	}
	return "ClusterSecretStore", "name-of-a-store"
}
