package pushsecret

import (
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
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
	of     map[types.NamespacedName]map[place]bool
	// changed hears of PushSecrets whose rivals changed; nil: nobody hears.
	changed func(types.NamespacedName)
}

type claim struct {
	owner
	properties map[string]bool
}

// set replaces the claims of o, and returns for each place that an older one holds
// the oldest of these.
func (c *claims) set(o owner, places map[place]bool) map[place]owner {
	c.mu.Lock()
	woken := c.replace(o, places)
	held := map[place]owner{}
	for p := range places {
		for key, other := range c.at[p.location] {
			if key == o.key || !other.before(o) || !overlaps(other.properties, p.property) {
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

func overlaps(properties map[string]bool, p string) bool {
	return p == "" || properties[""] || properties[p]
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
func (c *claims) replace(o owner, places map[place]bool) (woken []types.NamespacedName) { //nolint:cyclop // flat: a case after the other
	if c.at == nil {
		c.at, c.of = map[string]map[types.NamespacedName]claim{}, map[types.NamespacedName]map[place]bool{}
	}
	old := c.of[o.key]
	touched := map[string]bool{}
	for p := range old {
		if !places[p] {
			touched[p.location] = true
		}
		if at := c.at[p.location]; at != nil {
			if delete(at, o.key); len(at) == 0 {
				delete(c.at, p.location)
			}
		}
	}
	for p := range places {
		if !old[p] {
			touched[p.location] = true
		}
		at := c.at[p.location]
		if at == nil {
			at = map[types.NamespacedName]claim{}
			c.at[p.location] = at
		}
		mine, ok := at[o.key]
		if !ok {
			mine = claim{o, map[string]bool{}}
			at[o.key] = mine
		}
		mine.properties[p.property] = true
	}
	c.of[o.key] = places
	if len(places) == 0 {
		delete(c.of, o.key)
	}
	if c.changed == nil {
		return nil
	}
	for location := range touched {
		for key := range c.at[location] {
			if key != o.key {
				woken = append(woken, key)
			}
		}
	}
	return woken
}
