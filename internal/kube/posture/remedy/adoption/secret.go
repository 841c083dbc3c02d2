package adoption

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/origin"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// fields are what the vault is to hold, by name. What is no text is base64 there,
// since a KV engine holds JSON.
type fields map[string]field

type field struct {
	value  redact.Secret // as the vault holds it
	raw    redact.Secret // as the Secret has it
	binary bool
}

func fieldsOf(s *corev1.Secret) fields {
	out := fields{}
	for key, value := range s.Data {
		f := field{value: redact.New(value), raw: redact.New(value)}
		if !utf8.Valid(value) {
			f.binary, f.value = true, redact.FromString(base64.StdEncoding.EncodeToString(value))
		}
		out[key] = f
	}
	return out
}

// all is every field under its own name.
func (f fields) all() map[string]string {
	out := map[string]string{}
	for name := range f {
		out[name] = name
	}
	return out
}

// values are what is written.
func (f fields) values() map[string]redact.Secret {
	out := map[string]redact.Secret{}
	for name := range f {
		out[name] = f[name].value
	}
	return out
}

// same reports, as nil, that have has every field with the same bytes.
func (f fields) same(have map[string]redact.Secret, at string) error {
	for _, name := range slices.Sorted(maps.Keys(f)) {
		value, ok := have[name]
		switch {
		case !ok:
			return errs.Newf(errs.Exist, "something lies at %s in the vault already, without a field %s: nothing goes over it; choose another -path", at, name)
		case !value.Equal(f[name].value):
			return errs.Newf(errs.Exist, "something lies at %s in the vault already, with another value of %s: nothing goes over it; choose another -path, or see which of both is right", at, name)
		}
	}
	return nil
}

// newKey is for digests of one run.
func newKey() []byte {
	key := make([]byte, sha256.Size)
	rand.Read(key)
	return key
}

// digest is a keyed fingerprint of all data.
func digest(key []byte, data map[string][]byte) string {
	h := hmac.New(sha256.New, key)
	for _, k := range slices.Sorted(maps.Keys(data)) {
		_, _ = fmt.Fprintf(h, "%q=%x;", k, data[k])
	}
	return string(h.Sum(nil))
}

// secret reads one, with its values.
func (a *Adopter) secret(ctx context.Context, name types.NamespacedName) (*corev1.Secret, error) {
	s := &corev1.Secret{}
	if err := a.Client.Get(ctx, name, s); err != nil {
		return nil, explain(err, "reading Secret "+name.String())
	}
	return s, nil
}

func explain(err error, what string) error {
	kind := errs.Unavailable
	switch {
	case apierrors.IsNotFound(err):
		kind = errs.NotExist
	case apierrors.IsForbidden(err):
		kind = errs.Denied
	}
	return errs.Newf(kind, "%s: %w", what, err)
}

// mayTake refuses what others write. managed says that a store fills it already.
func (a *Adopter) mayTake(s *corev1.Secret, o Options) (managed bool, err error) {
	name := s.Namespace + "/" + s.Name
	switch {
	case len(s.Data) == 0:
		return false, errs.Newf(errs.NotExist, "Secret %s holds nothing", name)
	case s.Immutable != nil && *s.Immutable:
		return false, errs.Newf(errs.Unsupported, "Secret %s is immutable, and could not follow the vault: make another by an ExternalSecret, and have its users take that", name)
	}
	seen := a.Seen.Index.Secrets[path.Name{Namespace: s.Namespace, Name: s.Name}]
	if seen == nil {
		return false, errs.Newf(errs.Denied, "Secrets of namespace %s could not be listed: who makes %s is not known; it takes list on them", s.Namespace, name)
	}
	if foreign[s.Type] {
		return false, errs.Newf(errs.Conflict, "Secret %s is of type %s, which is nobody's credential", name, s.Type)
	}
	return written(name, a.Seen.Index.Origins.Secret(seen), o)
}

// written refuses a Secret by who writes it.
func written(name string, of origin.Origin, o Options) (managed bool, err error) {
	switch {
	case of.Kind == origin.Hand || of.Kind == origin.Unknown:
		return false, nil
	case of.Kind == origin.Store || of.Kind == origin.Generator:
		return true, nil
	case of.Kind.Written() && o.Anyway:
		return false, nil
	case of.Kind.Written():
		return false, errs.Newf(errs.Conflict, "Secret %s comes from a manifest or chart (%s), which would write its value over the vault's: take it out there so that the Secret stays (no pruning), then say -anyway", name, of.Said())
	case of.Kind == origin.Mirror:
		return false, errs.Newf(errs.Conflict, "Secret %s is a copy that a tool writes (%s): adopt the one that it is of", name, of.Said())
	case of.Kind == origin.Sealed:
		return false, errs.Newf(errs.Conflict, "Secret %s is sealed in Git (%s), from where it is written again: take it out there first", name, of.Said())
	}
	return false, errs.Newf(errs.Conflict, "Secret %s is made up by %s, which writes it again: a PushSecret brings it into the vault", name, of.Said())
}
