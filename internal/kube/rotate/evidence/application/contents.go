package application

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// contents reads each Secret once for all pods of one Ask, which lasts seconds.
type contents struct {
	from func(consumer.Object) (map[string]redact.Secret, error)
	fed  map[consumer.Object]bool

	mu   sync.Mutex
	read map[consumer.Object]*reading
}

type reading struct {
	once   sync.Once
	values map[string]redact.Secret
	err    error
}

// newContents reads within ctx: one pod's timeout is not that of the others.
func newContents(ctx context.Context, q Question) *contents {
	from := func(secret consumer.Object) (map[string]redact.Secret, error) {
		if q.Contents == nil {
			return nil, errors.New("nobody reads Secrets")
		}
		return q.Contents(ctx, secret)
	}
	c := &contents{from: from, fed: map[consumer.Object]bool{}, read: map[consumer.Object]*reading{}}
	for i := range q.Fed {
		c.fed[key(q.Fed[i].Object)] = true
	}
	return c
}

// key leaves out the kind, which those who name Secrets fill in differently.
func key(o consumer.Object) consumer.Object {
	return consumer.Object{Cluster: o.Cluster, NamespacedName: o.NamespacedName}
}

// of returns the Secrets with the credential that pod uses.
func (c *contents) of(pod *consumer.Pod) []consumer.Object {
	var out []consumer.Object
	for _, u := range pod.Uses {
		o := consumer.Object{Cluster: pod.Cluster}
		o.Namespace, o.Name = pod.Namespace, u.Secret
		if u.Secret != "" && u.Kind != consumer.UseImagePull && c.fed[o] && !slices.Contains(out, o) {
			out = append(out, o)
		}
	}
	return out
}

func (c *contents) get(secret consumer.Object) (map[string]redact.Secret, error) {
	c.mu.Lock()
	r := c.read[secret]
	if r == nil {
		r = &reading{}
		c.read[secret] = r
	}
	c.mu.Unlock()
	r.once.Do(func() { r.values, r.err = c.from(secret) })
	return r.values, r.err
}
