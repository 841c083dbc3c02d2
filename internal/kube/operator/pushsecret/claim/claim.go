package claim

import (
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

// Place is where something is pushed: a location, as the store names it, and a
// property, "" for the whole.
type Place struct{ Location, Property string }

// Owner is a PushSecret that claims places. The older of two holds what both want.
type Owner struct {
	Key  types.NamespacedName
	UID  types.UID
	Born metav1.Time
}

func (o Owner) before(p Owner) bool {
	if !o.Born.Equal(&p.Born) {
		return o.Born.Before(&p.Born)
	}
	return o.UID < p.UID
}

// Claims knows which PushSecrets want which places, of all PushSecrets there are. The
// zero value is ready, and safe for concurrent use but for Changed, which is set before.
type Claims struct {
	mu sync.Mutex
	at map[string]map[types.NamespacedName]claim // by location
	of map[types.NamespacedName]Wanted
	// Changed hears of PushSecrets whose rivals changed; nil: nobody hears.
	Changed func(types.NamespacedName)
}

// Wanted are places, each with whether it is wanted by a ClusterSecretStore. PushSecrets
// of different namespaces are rivals by these only: who may use one may write there.
// Where a SecretStore leads is its author's word, by which nobody else is held up.
type Wanted map[Place]bool

// Add adds a place, wanted by store.
func (w Wanted) Add(p Place, store v1.Store) { w[p] = w[p] || Shared(store) }

// Shared reports whether who may use store may write where it leads.
func Shared(store v1.Store) bool { return store.StoreKind() == v1.KindClusterSecretStore }

type claim struct {
	Owner
	properties map[string]bool // as Wanted has it
}

// rivals reports whether c is of p too, which key wants.
func (c claim) rivals(key types.NamespacedName, p Place, shared bool) bool {
	if c.Key == key {
		return false
	}
	for name, sharedToo := range c.properties {
		if (name == "" || p.Property == "" || name == p.Property) && (c.Key.Namespace == key.Namespace || shared && sharedToo) {
			return true
		}
	}
	return false
}

// Set replaces the claims of o, and returns for each place that an older one holds
// the oldest of these.
func (c *Claims) Set(o Owner, places Wanted) map[Place]Owner {
	c.mu.Lock()
	woken := c.replace(o, places)
	held := map[Place]Owner{}
	for p, shared := range places {
		for _, other := range c.at[p.Location] {
			if !other.before(o) || !other.rivals(o.Key, p, shared) {
				continue
			}
			if first, ok := held[p]; !ok || other.before(first) {
				held[p] = other.Owner
			}
		}
	}
	c.mu.Unlock()
	c.tell(woken)
	return held
}

// Rival reports whether another PushSecret wants p, whoever is older.
func (c *Claims) Rival(key types.NamespacedName, p Place, shared bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.at[p.Location] {
		if other.rivals(key, p, shared) {
			return true
		}
	}
	return false
}

// Drop ends the claims of a PushSecret.
func (c *Claims) Drop(key types.NamespacedName) {
	c.mu.Lock()
	woken := c.replace(Owner{Key: key}, nil)
	c.mu.Unlock()
	c.tell(woken)
}

func (c *Claims) tell(keys []types.NamespacedName) {
	for _, key := range keys {
		c.Changed(key)
	}
}

// replace returns who else claims what was claimed before or is now, if that is
// another set of places. c.mu is held.
func (c *Claims) replace(o Owner, places Wanted) (woken []types.NamespacedName) {
	if c.at == nil {
		c.at, c.of = map[string]map[types.NamespacedName]claim{}, map[types.NamespacedName]Wanted{}
	}
	old := c.of[o.Key]
	for p := range old {
		c.take(o.Key, p)
	}
	for p, shared := range places {
		c.put(o, p, shared)
	}
	c.of[o.Key] = places
	if len(places) == 0 {
		delete(c.of, o.Key)
	}
	if c.Changed == nil {
		return nil
	}
	for location := range differ(old, places) {
		for key := range c.at[location] {
			if key != o.Key {
				woken = append(woken, key)
			}
		}
	}
	return woken
}

func (c *Claims) take(key types.NamespacedName, p Place) {
	at := c.at[p.Location]
	if delete(at, key); len(at) == 0 {
		delete(c.at, p.Location)
	}
}

func (c *Claims) put(o Owner, p Place, shared bool) {
	at := c.at[p.Location]
	if at == nil {
		at = map[types.NamespacedName]claim{}
		c.at[p.Location] = at
	}
	if _, ok := at[o.Key]; !ok {
		at[o.Key] = claim{o, map[string]bool{}}
	}
	at[o.Key].properties[p.Property] = shared
}

// differ returns the locations of what is in one of a and b only, or otherwise.
func differ(a, b Wanted) map[string]bool {
	out := map[string]bool{}
	for p, shared := range a {
		if now, ok := b[p]; !ok || now != shared {
			out[p.Location] = true
		}
	}
	for p := range b {
		if _, ok := a[p]; !ok {
			out[p.Location] = true
		}
	}
	return out
}
