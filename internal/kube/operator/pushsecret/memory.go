package pushsecret

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// memory is what is known of one PushSecret beside its object. Losing it costs a
// look at the Secrets, and nothing else.
type memory struct {
	seen     string       // what observe saw when it was last pushed
	status   target.Patch // our last one
	failures int          // in a row
	again    time.Time    // when the next try is due, after a failure
	wakes    int          // how often wake was called
}

// memories keeps a memory per PushSecret.
type memories struct {
	mu sync.Mutex
	by map[types.NamespacedName]memory
}

func (m *memories) get(key types.NamespacedName) memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.by[key]
}

func (m *memories) change(key types.NamespacedName, f func(*memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.by == nil {
		m.by = map[types.NamespacedName]memory{}
	}
	v := m.by[key]
	f(&v)
	m.by[key] = v
}

// patched records a patch of ours.
func (m *memories) patched(key types.NamespacedName, p target.Patch) {
	m.change(key, func(v *memory) { v.status = p })
}

// patched records that a patch of ours made ps what it is.
func (r *Reconciler) patched(ps *v1alpha1.PushSecret) {
	r.memories.patched(client.ObjectKeyFromObject(ps), target.Patch{Version: ps.ResourceVersion, At: r.Clock.Now()})
}

// wake makes the next look a push, whatever is seen. One that is under way does not
// make up for it: it may have looked before.
func (m *memories) wake(key types.NamespacedName) {
	m.change(key, func(v *memory) { v.seen, v.wakes = "", v.wakes+1 })
}

// failed counts a failure, of a push that began at before and saw what it says.
func (m *memories) failed(key types.NamespacedName, before memory, seen string, wait time.Duration, now time.Time) {
	m.change(key, func(v *memory) { v.pushed(before, seen); v.failures++; v.again = now.Add(wait) })
}

// succeeded is failed for a push without a failure.
func (m *memories) succeeded(key types.NamespacedName, before memory, seen string) {
	m.change(key, func(v *memory) { v.pushed(before, seen); v.failures = 0 })
}

func (v *memory) pushed(before memory, seen string) {
	if v.wakes == before.wakes {
		v.seen = seen
	}
}

func (m *memories) forget(key types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.by, key)
}
