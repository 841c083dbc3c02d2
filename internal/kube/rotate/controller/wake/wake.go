// Package wake collects the names of Rotations that are to be looked at soon.
//
// Start reading at Set.
package wake

import (
	"maps"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// Set is the names that were added and not taken yet. It is safe for concurrent use.
type Set struct {
	signal chan struct{} // of capacity 1

	mu    sync.Mutex
	names map[types.NamespacedName]bool
}

// New returns an empty Set.
func New() *Set {
	return &Set{signal: make(chan struct{}, 1), names: map[types.NamespacedName]bool{}}
}

// Added has something when names were added since it was last read.
func (s *Set) Added() <-chan struct{} { return s.signal }

// Add adds names. It does not block.
func (s *Set) Add(names []types.NamespacedName) {
	s.mu.Lock()
	for _, n := range names {
		s.names[n] = true
	}
	s.mu.Unlock()
	select {
	case s.signal <- struct{}{}:
	default: // signalled already
	}
}

// Take empties the set and returns what was in it.
func (s *Set) Take() []types.NamespacedName {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := slices.Collect(maps.Keys(s.names))
	clear(s.names)
	return names
}
