package proof

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

// reading is a source of which note is taken while it is read: of which cluster it is, how
// new, and a digest of what was seen. It is read once, since two readings are two moments.
type reading struct {
	stored.Source
	prefix string // without a slash at its end

	sum    hash.Hash
	uid    string           // of kube-system; "" if it is not there, or encrypted
	leases map[string]int64 // of kube-system, by name: the revision that wrote them
}

func newReading(from stored.Source, prefix string) *reading {
	return &reading{Source: from, prefix: strings.TrimSuffix(prefix, "/"), sum: sha256.New(), leases: map[string]int64{}}
}

func (r *reading) namespace() string { return r.prefix + "/namespaces/kube-system" }
func (r *reading) folder() string    { return r.prefix + "/leases/kube-system/" }

// Read implements stored.Source.
func (r *reading) Read(ctx context.Context, folders []string, visit func(stored.Entry)) (stored.Origin, error) {
	all := slices.Clone(folders)
	for _, own := range []string{r.namespace(), r.folder()} {
		if !below(own, folders) {
			all = append(all, own)
		}
	}
	return r.Source.Read(ctx, all, func(e stored.Entry) {
		r.note(e)
		if below(string(e.Key), folders) {
			r.add(e)
			visit(e)
		}
	})
}

// below reports whether a key is in one of the folders.
func below(key string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return strings.HasPrefix(key, f) })
}

// note takes what identifies the cluster and the moment.
func (r *reading) note(e stored.Entry) {
	if e.Superseded {
		return
	}
	key := string(e.Key)
	if key == r.namespace() {
		r.uid = uidOf(e.Value)
	}
	if name, ok := strings.CutPrefix(key, r.folder()); ok {
		r.leases[name] = e.Revision
	}
}

// add digests an entry: its key, by whom and when it was written, and nothing of its value,
// since a digest of a value that is in the clear would let it be guessed.
//
//	4 bytes length, key, 8 bytes revision, 1 byte superseded, 4 bytes length, provider, 4 bytes length, key id
func (r *reading) add(e stored.Entry) {
	u := stored.Parse(e.Value)
	var b []byte
	put := func(s string) { b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...) }
	put(string(e.Key))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Revision))
	if e.Superseded {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	put(u.Provider())
	put(u.KeyID)
	_, _ = r.sum.Write(b) // a hash never errs
}

func (r *reading) digest() string { return fmt.Sprintf("sha256:%x", r.sum.Sum(nil)) }

// uidOf is the UID of a namespace as an API server stores it, in protobuf or JSON; "" of
// what is encrypted, or something else.
func uidOf(value []byte) string {
	var ns corev1.Namespace
	if raw, ok := bytes.CutPrefix(value, []byte("k8s\x00")); ok {
		var whole runtime.Unknown
		if whole.Unmarshal(raw) != nil || ns.Unmarshal(whole.Raw) != nil {
			return ""
		}
		return string(ns.UID)
	}
	if json.Unmarshal(value, &ns) != nil {
		return ""
	}
	return string(ns.UID)
}
