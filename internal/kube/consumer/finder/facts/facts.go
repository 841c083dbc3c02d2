package facts

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/stock"
)

// Sum is a digest under a key that only this process has, to see that two
// values are the same. It leaves the process nowhere.
type Sum [16]byte

// Fact is what is remembered of a Secret's content.
type Fact struct {
	version   string // resourceVersion
	Immutable bool
	Vouched   bool     // an operator of ours has written it as it is
	Moved     bool     // it was read at another resourceVersion than the caller's
	Values    []Sum    // of the values that are secret
	Keys      []string // of each of Values
}

// Facts remembers facts by UID, of our cluster only: what another one says of an
// object is read anew each time, and never taken for one of ours. The zero Facts
// is empty.
type Facts struct {
	Vouched func(*corev1.Secret) bool // nil: none is

	mu  sync.Mutex
	all map[types.UID]Fact
}

// manyFacts is when all are forgotten, so that Secrets long gone are.
const manyFacts = 1 << 14

// Of returns the fact of a Secret, reading it when it changed since it was
// read last, or when it must be fresh. Kinds of error: NotExist, Denied, Unavailable.
func (f *Facts) Of(ctx context.Context, live client.Reader, fed *consumer.Fed, salt []byte, fresh bool) (Fact, error) {
	f.mu.Lock()
	known, ok := f.all[fed.UID]
	f.mu.Unlock()
	if ok && !fresh && fed.Cluster == "" && fed.UID != "" && known.version == fed.ResourceVersion {
		return known, nil
	}
	var o corev1.Secret
	if err := live.Get(ctx, fed.NamespacedName, &o); err != nil {
		return Fact{}, unreadable(fed, err)
	}
	moved := fed.ResourceVersion != o.ResourceVersion
	fed.UID, fed.ResourceVersion = o.UID, o.ResourceVersion
	known = factOf(&o, salt)
	if fed.Cluster == "" {
		known.Vouched = f.Vouched != nil && f.Vouched(&o)
		f.remember(o.UID, known)
	}
	known.Moved = moved
	return known, nil
}

func (f *Facts) remember(uid types.UID, known Fact) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil || len(f.all) >= manyFacts {
		f.all = map[types.UID]Fact{}
	}
	f.all[uid] = known
}

func unreadable(fed *consumer.Fed, err error) error {
	kind := errs.Unavailable
	switch {
	case apierrors.IsNotFound(err):
		kind = errs.NotExist
	case stock.Refused(err):
		kind = errs.Denied
	}
	return errs.Newf(kind, "reading Secret %q: %w", fed.NamespacedName, err)
}

func factOf(o *corev1.Secret, salt []byte) Fact {
	f := Fact{version: o.ResourceVersion, Immutable: o.Immutable != nil && *o.Immutable}
	f.Keys, f.Values = sums(o.Data, salt)
	return f
}

// sums returns the digests of the values that are secret, and their keys.
func sums(data map[string][]byte, salt []byte) (keys []string, out []Sum) {
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if secretive(key, data[key]) {
			keys, out = append(keys, key), append(out, SumOf(data[key], salt))
		}
	}
	return keys, out
}

// SumOf returns the digest of a value.
func SumOf(value, salt []byte) (out Sum) {
	mac := hmac.New(sha256.New, salt)
	mac.Write(value)
	copy(out[:], mac.Sum(nil))
	return out
}

// Least is the length in bytes below which equal values may be chance.
const Least = 8

// secretive reports whether a value that is found elsewhere too tells a copy of
// the credential: not names of users and hosts, and not certificates.
func secretive(key string, value []byte) bool {
	if len(value) < Least {
		return false
	}
	switch strings.ToLower(strings.NewReplacer("-", "", "_", "", ".", "").Replace(key)) {
	case "ca", "cacrt", "cabundle", "database", "databasename", "db", "dbhost", "dbname", "dbport", "dbuser", "dbusername",
		"endpoint", "engine", "host", "hostname", "login", "name", "namespace", "port", "region", "schema",
		"server", "sslmode", "type", "user", "username", "version":
		return false
	}
	return !bytes.HasPrefix(bytes.TrimSpace(value), []byte("-----BEGIN CERTIFICATE-----"))
}
