package content

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// Kind is a kind of object that pods take content from. It is the first part of
// an object's name in a stamp: "secret/NAME".
type Kind string

// The kinds.
const (
	Secret    Kind = "secret"
	ConfigMap Kind = "configmap"
)

// Object names a Secret or ConfigMap.
type Object struct {
	Kind Kind
	types.NamespacedName
}

// Entry returns the name of o in stamps on pods, which are of o's namespace.
func (o Object) Entry() string { return string(o.Kind) + "/" + o.Name }

// Digests reads objects and digests their data, each once for a
// resourceVersion. It is safe for concurrent use and keeps digests only.
type Digests struct {
	live client.Reader
	key  target.Key

	mu   sync.Mutex
	seen map[Object]seen
}

type seen struct{ version, digest string }

// New returns Digests that read by live, which must not be a cache.
func New(live client.Reader, key target.Key) *Digests {
	return &Digests{live: live, key: key, seen: map[Object]seen{}}
}

// Of returns the digest of what o holds. resourceVersion is the one that the
// caller knows of, from metadata; if it was digested before, nothing is read.
// Empty reads always. Kinds of error: NotExist, Denied, Unavailable.
func (d *Digests) Of(ctx context.Context, o Object, resourceVersion string) (string, error) {
	if digest, ok := d.known(o, resourceVersion); ok {
		return digest, nil
	}
	data, version, err := d.read(ctx, o)
	if err != nil {
		if apierrors.IsNotFound(err) {
			d.Forget(o)
		}
		return "", unreadable(o, err)
	}
	digest := d.key.Digest(string(o.Kind)+"/"+o.String(), data)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen[o] = seen{version, digest}
	return digest, nil
}

// Forget lets go of an object that is deleted, or that nobody uses any more.
func (d *Digests) Forget(o Object) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.seen, o)
}

func (d *Digests) known(o Object, version string) (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.seen[o]
	return s.digest, version != "" && s.version == version
}

func (d *Digests) read(ctx context.Context, o Object) (map[string][]byte, string, error) {
	if o.Kind == Secret {
		var s corev1.Secret
		err := d.live.Get(ctx, o.NamespacedName, &s)
		return s.Data, s.ResourceVersion, err
	}
	var c corev1.ConfigMap
	err := d.live.Get(ctx, o.NamespacedName, &c)
	data := make(map[string][]byte, len(c.Data)+len(c.BinaryData))
	for k, v := range c.Data {
		data[k] = []byte(v)
	}
	for k, v := range c.BinaryData { // the API admits no key in both
		data[k] = v
	}
	return data, c.ResourceVersion, err
}

func unreadable(o Object, err error) error {
	kind := errs.Unavailable
	switch {
	case apierrors.IsNotFound(err):
		return errs.Newf(errs.NotExist, "%s %q does not exist", o.Kind, o.String())
	case apierrors.IsForbidden(err):
		kind = errs.Denied
	}
	return errs.Newf(kind, "reading %s %q: %w", o.Kind, o.String(), err)
}
