package pattern

import (
	"slices"
	"strings"
)

// Index holds patterns, each with a value. It is built by Add, then Freeze;
// from then on any number of goroutines may ask it. The zero Index is empty.
type Index[T any] struct {
	exact  map[string]*entry[T] // without "*" and "+"
	sorted []*entry[T]          // the same, by path
	globs  radix[T]             // with "*" only
	plus   []*entry[T]          // with "+"
	byPart segments[T]          // the same, to search
}

type entry[T any] struct {
	Pattern
	value  *T
	grants bool
}

// Add puts value at p. Add a pattern once. grants says whether the value
// allows anything, which only Under asks for.
func (x *Index[T]) Add(p Pattern, value *T, grants bool) {
	e := &entry[T]{Pattern: p, value: value, grants: grants}
	switch {
	case p.plus > 0:
		x.plus = append(x.plus, e)
		x.byPart.insert(e)
	case p.glob:
		x.globs.insert(p.prefix(), e)
	default:
		if x.exact == nil {
			x.exact = map[string]*entry[T]{}
		}
		x.exact[p.text] = e
		x.sorted = append(x.sorted, e)
	}
}

// Freeze ends the building.
func (x *Index[T]) Freeze() {
	slices.SortFunc(x.sorted, func(a, b *entry[T]) int { return strings.Compare(a.text, b.text) })
}

// Match returns the value of the one pattern that decides about path, nil if
// none matches: the exact path, then the inexact one that outranks the others.
//
// A listing of "a/" is also looked up as "a": exactly before inexact patterns
// are asked, and by inexact ones only if nothing matched with the slash. Else
// "a*" or "+" would pass what "a/*" denies (GHSA-xp3c-3jw3-4vcr).
func (x *Index[T]) Match(path string, listing bool) *T {
	if e := x.exact[path]; e != nil {
		return e.value
	}
	bare, slash := strings.CutSuffix(path, "/")
	if !listing || !slash {
		return x.inexact(path).get()
	}
	if e := x.exact[bare]; e != nil {
		return e.value
	}
	if e := x.inexact(path); e != nil {
		return e.value
	}
	return x.inexact(bare).get()
}

func (e *entry[T]) get() *T {
	if e == nil {
		return nil
	}
	return e.value
}

func (x *Index[T]) inexact(path string) *entry[T] {
	e := x.globs.longest(path)
	if len(x.plus) == 0 {
		return e
	}
	return x.byPart.best(path, 0, e)
}

// Under reports whether a pattern that grants decides about some path that
// begins with folder, which is "" or ends in a slash. A grant that is hidden
// by patterns which between them, but none alone, take everything below folder
// counts all the same. It looks at every pattern with "+".
func (x *Index[T]) Under(folder string) bool {
	i, _ := slices.BinarySearchFunc(x.sorted, folder, func(e *entry[T], s string) int { return strings.Compare(e.text, s) })
	for ; i < len(x.sorted) && strings.HasPrefix(x.sorted[i].text, folder); i++ {
		if x.sorted[i].grants {
			return true
		}
	}
	cover := x.cover(folder)
	if cover != nil && cover.grants {
		return true
	}
	if x.globs.grantsBelow(folder) {
		return true
	}
	return slices.ContainsFunc(x.plus, func(e *entry[T]) bool {
		return e.grants && e.reaches(folder) && better(e, cover) == e
	})
}

// cover returns the best inexact pattern that matches all below folder: it
// hides every one that it outranks.
func (x *Index[T]) cover(folder string) *entry[T] {
	best := x.globs.longest(folder)
	for _, e := range x.plus {
		if e.covers(folder) {
			best = better(e, best)
		}
	}
	return best
}

// better returns whichever of two outranks the other; either may be nil.
func better[T any](e, than *entry[T]) *entry[T] {
	if e == nil || (than != nil && !e.outranks(&than.Pattern)) {
		return than
	}
	return e
}
