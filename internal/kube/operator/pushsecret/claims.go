package pushsecret

import (
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

// place is where something is pushed: a location, as the store names it, and a
// property, "" for the whole.
type place struct{ location, property string }

// owner is a PushSecret that claims places. The older of two holds what both want.
type owner struct {
	key  types.NamespacedName
	uid  types.UID
	born metav1.Time
}

func (o owner) before(p owner) bool {
	if !o.born.Equal(&p.born) {
		return o.born.Before(&p.born)
	}
	return o.uid < p.uid
}

// claims knows which PushSecrets want which places, of all PushSecrets there are.
type claims struct {
	mu     sync.Mutex
	primed bool
	at     map[string]map[types.NamespacedName]claim // by location
	of     map[types.NamespacedName]wanted
	// changed hears of PushSecrets whose rivals changed; nil: nobody hears.
	changed func(types.NamespacedName)
}

// wanted are places, each with whether it is wanted by a ClusterSecretStore. PushSecrets
// of different namespaces are rivals by these only: who may use one may write there.
// Where a SecretStore leads is its author's word, by which nobody else is held up.
type wanted map[place]bool

// add adds a place, wanted by store.
func (w wanted) add(p place, store v1.Store) { w[p] = w[p] || shared(store) }

func shared(store v1.Store) bool { return store.StoreKind() == v1.KindClusterSecretStore }

type claim struct {
	owner
	properties map[string]bool // as wanted has it
}

// rivals reports whether c is of p too, which key wants.
func (c claim) rivals(key types.NamespacedName, p place, shared bool) bool {
	if c.key == key {
		return false
	}
	for name, sharedToo := range c.properties {
		if (name == "" || p.property == "" || name == p.property) && (c.key.Namespace == key.Namespace || shared && sharedToo) {
			return true
		}
	}
	return false
}

// set replaces the claims of o, and returns for each place that an older one holds
// the oldest of these.
func (c *claims) set(o owner, places wanted) map[place]owner {
	c.mu.Lock()
	woken := c.replace(o, places)
	held := map[place]owner{}
	for p, shared := range places {
		for _, other := range c.at[p.location] {
			if !other.before(o) || !other.rivals(o.key, p, shared) {
				continue
			}
			if first, ok := held[p]; !ok || other.before(first) {
				held[p] = other.owner
			}
		}
	}
	c.mu.Unlock()
	c.tell(woken)
	return held
}

// rival reports whether another PushSecret wants p, whoever is older.
func (c *claims) rival(key types.NamespacedName, p place, shared bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.at[p.location] {
		if other.rivals(key, p, shared) {
			return true
		}
	}
	return false
}

// drop ends the claims of a PushSecret.
func (c *claims) drop(key types.NamespacedName) {
	c.mu.Lock()
	woken := c.replace(owner{key: key}, nil)
	c.mu.Unlock()
	c.tell(woken)
}

func (c *claims) tell(keys []types.NamespacedName) {
	for _, key := range keys {
		c.changed(key)
	}
}

// replace returns who else claims what was claimed before or is now, if that is
// another set of places. c.mu is held.
func (c *claims) replace(o owner, places wanted) (woken []types.NamespacedName) {
	if c.at == nil {
		c.at, c.of = map[string]map[types.NamespacedName]claim{}, map[types.NamespacedName]wanted{}
	}
	old := c.of[o.key]
	for p := range old {
		c.take(o.key, p)
	}
	for p, shared := range places {
		c.put(o, p, shared)
	}
	c.of[o.key] = places
	if len(places) == 0 {
		delete(c.of, o.key)
	}
	if c.changed == nil {
		return nil
	}
	for location := range differ(old, places) {
		for key := range c.at[location] {
			if key != o.key {
				woken = append(woken, key)
			}
		}
	}
	return woken
}

func (c *claims) take(key types.NamespacedName, p place) {
	at := c.at[p.location]
	if delete(at, key); len(at) == 0 {
		delete(c.at, p.location)
	}
}

func (c *claims) put(o owner, p place, shared bool) {
	at := c.at[p.location]
	if at == nil {
		at = map[types.NamespacedName]claim{}
		c.at[p.location] = at
	}
	if _, ok := at[o.key]; !ok {
		at[o.key] = claim{o, map[string]bool{}}
	}
	at[o.key].properties[p.property] = shared
}

// differ returns the locations of what is in one of a and b only, or otherwise.
func differ(a, b wanted) map[string]bool {
	out := map[string]bool{}
	for p, shared := range a {
		if now, ok := b[p]; !ok || now != shared {
			out[p.location] = true
		}
	}
	for p := range b {
		if _, ok := a[p]; !ok {
			out[p.location] = true
		}
	}
	return out
}
