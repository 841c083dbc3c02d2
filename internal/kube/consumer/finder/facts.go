package finder

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

// sum is a digest under a key that only this process has, to see that two
// values are the same. It leaves the process nowhere.
type sum [16]byte

// fact is what is remembered of a Secret's content.
type fact struct {
	version   string // resourceVersion
	immutable bool
	values    []sum // of the values that are secret
}

// facts remembers facts by UID. The zero facts is empty.
type facts struct {
	mu  sync.Mutex
	all map[types.UID]fact
}

// manyFacts is when all are forgotten, so that Secrets long gone are.
const manyFacts = 1 << 14

// of returns the fact of a Secret, reading it when it changed since it was
// read last, or when it must be fresh. Kinds of error: NotExist, Denied, Unavailable.
func (f *facts) of(ctx context.Context, live client.Reader, fed *consumer.Fed, salt []byte, fresh bool) (fact, error) {
	f.mu.Lock()
	known, ok := f.all[fed.UID]
	f.mu.Unlock()
	if ok && !fresh && fed.UID != "" && known.version == fed.ResourceVersion {
		return known, nil
	}
	var o corev1.Secret
	if err := live.Get(ctx, fed.NamespacedName, &o); err != nil {
		return fact{}, unreadable(fed, err)
	}
	fed.UID, fed.ResourceVersion = o.UID, o.ResourceVersion
	known = factOf(&o, salt)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil || len(f.all) >= manyFacts {
		f.all = map[types.UID]fact{}
	}
	f.all[o.UID] = known
	return known, nil
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

func factOf(o *corev1.Secret, salt []byte) fact {
	return fact{version: o.ResourceVersion, immutable: o.Immutable != nil && *o.Immutable, values: sums(o.Data, salt)}
}

// sums returns the digests of the values that are secret.
func sums(data map[string][]byte, salt []byte) []sum {
	var out []sum
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if secretive(key, data[key]) {
			out = append(out, sumOf(data[key], salt))
		}
	}
	return out
}

func sumOf(value, salt []byte) (out sum) {
	mac := hmac.New(sha256.New, salt)
	mac.Write(value)
	copy(out[:], mac.Sum(nil))
	return out
}

// leastSecret is the length in bytes below which equal values may be chance.
const leastSecret = 8

// secretive reports whether a value that is found elsewhere too tells a copy of
// the credential: not names of users and hosts, and not certificates.
func secretive(key string, value []byte) bool {
	if len(value) < leastSecret {
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
