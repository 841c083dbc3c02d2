package externalsecret

import (
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// memories keeps a memory per ExternalSecret. Reconciles of one object do not
// overlap; events come at any time.
type memories struct {
	mu   sync.Mutex
	byES map[types.NamespacedName]*entry
}

type entry struct {
	memory
	written time.Time // when verified was last set by a write of ours
	secret  string    // index.Entry of what is in verified, when that is a write of ours
	gone    bool      // what is in verified was deleted since
	merge   bool      // it is shared with others
}

func (m *memories) get(key types.NamespacedName) memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.byES[key]; e != nil {
		return e.memory
	}
	return memory{}
}

func (m *memories) change(key types.NamespacedName, f func(*entry)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byES == nil {
		m.byES = map[types.NamespacedName]*entry{}
	}
	e := m.byES[key]
	if e == nil {
		e = &entry{}
		m.byES[key] = e
	}
	f(e)
}

func (m *memories) forget(key types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byES, key)
}

// setDue marks an object for refresh. The mark stays until a refresh that began
// after it.
func (m *memories) setDue(key types.NamespacedName, why string) {
	m.change(key, func(e *entry) { e.due = why })
}

// wrote records the Secret as a write of ours left it.
func (m *memories) wrote(key types.NamespacedName, secret *target.Secret, v target.Version, mark target.Mark, now time.Time) {
	m.change(key, func(e *entry) {
		e.verified, e.mark, e.secret, e.written, e.gone, e.merge = v, mark.String(), secret.Name, now, false, secret.Merge
		e.versions, e.drill = secret.Annotations[secret.VersionsKey()], secret.Annotations[v1alpha1.AnnotationDrill]
		e.generated = secret.Annotations[secret.GeneratedKey()]
	})
}

// secretGone records that a Secret was deleted.
func (m *memories) secretGone(key types.NamespacedName, uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.byES[key]; e != nil && e.verified.UID == uid {
		e.gone = true
	}
}

// caughtUp reports whether v, which the cache has now, is what is in verified. Then
// nothing has to stand in for the cache any more, and is forgotten.
func (m *memories) caughtUp(key types.NamespacedName, v target.Version) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.byES[key]
	if e == nil || e.verified != v {
		return false
	}
	e.caughtUp()
	return true
}

// caughtUp forgets what the cache has. The mark of a shared Secret is nowhere else.
func (e *entry) caughtUp() {
	if e.versions, e.drill, e.secret = "", "", ""; !e.merge {
		e.mark = ""
	}
}

// kept returns all that is kept of key. Taken before the cache is read, it can stand in
// for what the cache does not have; taken afterwards it may have been forgotten meanwhile,
// because the cache has it by now.
func (m *memories) kept(key types.NamespacedName) entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.byES[key]; e != nil {
		return *e
	}
	return entry{}
}

// behind reports whether a cache that was read after e was kept, and has live (nil:
// nothing) for the target of that entry, does not have our own last write yet.
func (e entry) behind(secret string, live *metav1.PartialObjectMetadata, now time.Time) bool {
	if e.gone || e.secret != secret || now.Sub(e.written) > target.CacheLag {
		return false
	}
	return live == nil || live.UID == e.verified.UID && target.Older(live.ResourceVersion, e.verified.ResourceVersion)
}

// seen forgets what stands in for the cache, which has live, if that is what is in
// verified or came after it.
func (m *memories) seen(key types.NamespacedName, live *metav1.PartialObjectMetadata) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.byES[key]
	if e != nil && live != nil && live.UID == e.verified.UID && !target.Older(live.ResourceVersion, e.verified.ResourceVersion) {
		e.caughtUp()
	}
}
