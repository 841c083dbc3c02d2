package history

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
)

// Name is that of the ConfigMap; its binaryData has the Book under Key, as JSON that is
// compressed by gzip.
const (
	Name = "strongkeep-check-history"
	Key  = "history.json.gz"
)

// maxStored bounds what is stored, and maxRead what it unpacks to, in bytes. A
// ConfigMap has at most 1 MiB, and its JSON has the bytes in base64.
const (
	maxStored = 700 << 10
	maxRead   = 256 << 20
)

// Store keeps a Book in the ConfigMap of a namespace.
type Store struct {
	Maps typed.ConfigMapInterface
}

// Version is what was loaded, so that nothing newer is overwritten; "" if there was
// nothing.
type Version string

// Load returns the Book, an empty one where there is none. It is Invalid if what is there
// is no Book of this Schema: somebody else wrote it.
func (s Store) Load(ctx context.Context) (*Book, Version, error) {
	m, err := s.Maps.Get(ctx, Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return &Book{}, "", nil
	}
	if err != nil {
		return nil, "", Explain("reading the history of checks", err)
	}
	b, err := decode(m.BinaryData[Key])
	if err != nil {
		return nil, "", errs.Newf(errs.Invalid, "ConfigMap %s/%s is no history of checks: %w; delete it and a new one is begun", m.Namespace, Name, err)
	}
	return b, Version(m.ResourceVersion), nil
}

// Save writes b in place of what v was loaded from. It is Conflict if another operator
// wrote meanwhile.
func (s Store) Save(ctx context.Context, b *Book, v Version) error {
	raw, err := encode(b, maxStored)
	if err != nil {
		return err
	}
	m := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: Name, ResourceVersion: string(v), Labels: map[string]string{"app.kubernetes.io/managed-by": "strongkeep"}},
		BinaryData: map[string][]byte{Key: raw},
	}
	if v == "" {
		_, err = s.Maps.Create(ctx, m, metav1.CreateOptions{})
	} else {
		_, err = s.Maps.Update(ctx, m, metav1.UpdateOptions{})
	}
	return Explain("writing the history of checks", err)
}

// Explain says what to do about an error of the API server, of whoever keeps checks
// current: they need the same rights.
func Explain(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsForbidden(err):
		return errs.Newf(errs.Denied, "%s: %w; apply deploy/operator/rbac-checks.yaml, or what strongkeep operator rbac -checks prints", doing, err)
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return errs.Newf(errs.Conflict, "%s: somebody else wrote it meanwhile; the next look mends that: %w", doing, err)
	}
	return fmt.Errorf("%s: %w", doing, errs.As(errs.Unavailable, err))
}

// encode packs b into at most limit bytes: what went longest ago is dropped first, then
// what is there and least bad.
func encode(b *Book, limit int) ([]byte, error) {
	out := *b
	out.Entries = slices.Clone(b.Entries)
	for i := range out.Entries {
		out.Entries[i].Fingerprint = ""
	}
	for {
		raw, err := pack(&out)
		if err != nil || len(raw) <= limit || len(out.Entries) == 0 {
			return raw, err
		}
		for range max(1, len(out.Entries)/8) {
			last := len(out.Entries) - 1
			if out.Entries[last].Here() {
				out.Untold++
			} else {
				out.Forgotten++
			}
			out.Entries = out.Entries[:last]
		}
	}
}

func pack(b *Book) ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if err := errors.Join(json.NewEncoder(z).Encode(b), z.Close()); err != nil {
		return nil, errs.Newf(errs.Internal, "packing the history of checks: %w", err)
	}
	return out.Bytes(), nil
}

// decode is encode's opposite.
func decode(raw []byte) (*Book, error) {
	if len(raw) == 0 {
		return nil, errs.Newf(errs.Invalid, "it has no binaryData %s", Key)
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "unpacking it: %w", err)
	}
	var b Book
	if err := json.NewDecoder(io.LimitReader(z, maxRead)).Decode(&b); err != nil {
		return nil, errs.Newf(errs.Invalid, "reading it: %w", err)
	}
	if b.Schema != Schema {
		return nil, errs.Newf(errs.Invalid, "it says %.40q and not %q", b.Schema, Schema)
	}
	for i := range b.Entries {
		e := &b.Entries[i]
		f := check.Finding{Check: e.Check, Rule: e.Rule, Object: e.Object, Field: e.Field}
		e.Fingerprint = f.Fingerprint()
	}
	return &b, nil
}
