package pushsecret

import (
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// memory is what is known of one PushSecret beside its object. Losing it costs a
// look at the Secrets, and nothing else.
type memory struct {
	seen     string    // what observe saw when it was last pushed
	status   string    // resourceVersion of our last patch
	failures int       // in a row
	again    time.Time // when the next try is due, after a failure
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

func (m *memories) set(key types.NamespacedName, v memory) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.by == nil {
		m.by = map[types.NamespacedName]memory{}
	}
	m.by[key] = v
}

// patched records a patch of ours.
func (m *memories) patched(key types.NamespacedName, resourceVersion string) {
	v := m.get(key)
	v.status = resourceVersion
	m.set(key, v)
}

// wake makes the next look a push, whatever is seen.
func (m *memories) wake(key types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok := m.by[key]; ok {
		v.seen = ""
		m.by[key] = v
	}
}

func (m *memories) forget(key types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.by, key)
}

// older compares resourceVersions, which are decimal numbers that grow
// (KEP-5504); what is not a number is not older than anything.
func older(a, b string) bool {
	m, errA := strconv.ParseUint(a, 10, 64)
	n, errB := strconv.ParseUint(b, 10, 64)
	return errA == nil && errB == nil && m < n
}
