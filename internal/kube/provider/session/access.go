package session

import (
	"context"
	"crypto/sha256"
	"maps"
	"slices"
	"strings"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// material is what a session has read of the cluster: by kind, namespace, name and
// key the digest of what stood there.
type material map[[4]string][sha256.Size]byte

func (r recorder) learn(kind string, ref provider.Ref, key string, content []byte) {
	sum := sha256.Sum256(content)
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.s.read[[4]string{kind, ref.Namespace(), ref.Name(), key}] = sum
}

// access is by what s reads. Of ServiceAccounts nothing is in it: a store's settings
// name them, and whose token it is the names say.
func (s *session) access() provider.Access {
	s.mu.Lock()
	defer s.mu.Unlock()
	places := slices.SortedFunc(maps.Keys(s.read), func(a, b [4]string) int { return slices.Compare(a[:], b[:]) })
	h := sha256.New()
	h.Write([]byte("strongkeep access 1\n"))
	for _, place := range places {
		name := sha256.Sum256([]byte(strings.Join(place[:], "\x00")))
		sum := s.read[place]
		h.Write(name[:])
		h.Write(sum[:])
	}
	return provider.Access(h.Sum(nil))
}

// Access says by what store is read now. A store that was not read yet since it is
// as it is, successfully or not, may not have shown its credentials. An error means
// that it cannot be opened, which its objects may be the cause of.
func (p *Pool) Access(ctx context.Context, store v1.Store) (provider.Access, error) {
	s, err := p.open(ctx, store)
	if err != nil {
		return provider.Access{}, err
	}
	return s.access(), nil
}
