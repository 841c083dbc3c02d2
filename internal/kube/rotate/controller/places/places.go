// Package places knows which Rotations are amid a turn with consumers of which
// Secrets, so that a change there is looked at soon and one elsewhere is not.
//
// Start reading at Places.
package places

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
)

// Places has the Secrets of each turn under way. It is safe for concurrent use;
// the zero Places is empty.
type Places struct {
	mu  sync.Mutex
	all map[types.NamespacedName]map[types.NamespacedName]bool // by Rotation
}

// Follow notes what a turn of name has for Secrets. nil: they are not known now,
// and stay those of before.
func (p *Places) Follow(name types.NamespacedName, graph *consumer.Graph) {
	if graph == nil {
		return
	}
	secrets := map[types.NamespacedName]bool{}
	for i := range graph.Secrets {
		if graph.Secrets[i].Cluster == "" {
			secrets[graph.Secrets[i].NamespacedName] = true
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[types.NamespacedName]map[types.NamespacedName]bool{}
	}
	p.all[name] = secrets
}

// Leave forgets a Rotation whose turn is over, or that is gone.
func (p *Places) Leave(name types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, name)
}

// Len is how many are followed.
func (p *Places) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.all)
}

// Users returns the Rotations amid a turn that have one of secrets, which are of
// namespace.
func (p *Places) Users(namespace string, secrets []string) []types.NamespacedName {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []types.NamespacedName
	for name, has := range p.all {
		if slices.ContainsFunc(secrets, func(s string) bool { return has[types.NamespacedName{Namespace: namespace, Name: s}] }) {
			out = append(out, name)
		}
	}
	return out
}
