package origin

import (
	gopath "path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

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
			return o.Kind.Outside() && !x.left(&o)
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

// left reports whether an object outlived what made it: its owner is gone, or it has the
// mark of an ExternalSecret and none makes it. Only of a cluster of which all that makes
// Secrets was read is that known.
func (x *Index) left(o *Origin) bool {
	if !x.snapshot.Live || !x.snapshot.Coverage.Whole("sources") {
		return false
	}
	return o.Gone || o.Kind == Store && o.By.Name == "" && o.Tool == byExternalSecret
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

// TLS reports whether s holds a certificate with its key, and under which keys. A
// certificate alone, such as a CA to verify by, is none of ours to renew.
func TLS(s *snapshot.Secret) (cert, key string, ok bool) {
	if s.Certificate == nil {
		return corev1.TLSCertKey, corev1.TLSPrivateKeyKey, s.Type == string(corev1.SecretTypeTLS)
	}
	cert = s.Certificate.Key
	stem := strings.TrimSuffix(cert, gopath.Ext(cert))
	for _, k := range []string{stem + ".key", stem + "-key.pem", stem + ".key.pem", "key.pem", "key"} {
		if k != cert && slices.Contains(s.Keys, k) {
			return cert, k, true
		}
	}
	for i := range s.Values {
		if v := &s.Values[i]; stem != "ca" && v.Looks == snapshot.LooksPrivateKey && !strings.HasPrefix(v.Field, "metadata") {
			return cert, field(v), true // of the same key, if both are in one file
		}
	}
	return cert, "", s.Type == string(corev1.SecretTypeTLS)
}

// field is the key of a Secret that v is of.
func field(v *snapshot.Value) string {
	_, key, _ := strings.Cut(v.Field, ".")
	return key
}

// OnlyTLS reports whether s is TLS, and nothing beside that is a credential: the same in
// other forms is not.
func OnlyTLS(s *snapshot.Secret) bool {
	cert, key, ok := TLS(s)
	if !ok {
		return false
	}
	public := map[string]bool{cert: true, key: true}
	for i := range s.Values {
		if v := &s.Values[i]; v.Looks == snapshot.LooksCert || v.Looks == snapshot.LooksPrivateKey || v.Looks == snapshot.LooksReference {
			public[field(v)] = true
		}
	}
	return !slices.ContainsFunc(s.Keys, func(k string) bool {
		return !public[k] && !slices.Contains([]string{".crt", ".pem", ".der", ".jks", ".p12", ".pfx"}, gopath.Ext(k))
	})
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
