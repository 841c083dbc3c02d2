package pattern

import "strings"

// radix finds, among prefixes, the longest one of a string. It walks the
// string once, whatever the number of prefixes. The zero radix is empty.
type radix[T any] struct {
	label  string    // bytes on the edge to this node
	entry  *entry[T] // the glob whose prefix ends here, or nil
	grants bool      // an entry at or below this node grants something
	first  string    // first bytes of the children's labels, in the order of kids
	kids   []*radix[T]
}

func (n *radix[T]) insert(prefix string, e *entry[T]) {
	for {
		n.grants = n.grants || e.grants
		if prefix == "" {
			n.entry = e
			return
		}
		i := strings.IndexByte(n.first, prefix[0])
		if i < 0 {
			n.first += prefix[:1]
			n.kids = append(n.kids, &radix[T]{label: prefix, entry: e, grants: e.grants})
			return
		}
		kid := n.kids[i]
		same := common(kid.label, prefix)
		if same < len(kid.label) {
			upper := &radix[T]{label: kid.label[:same], grants: kid.grants, first: kid.label[same : same+1], kids: []*radix[T]{kid}}
			kid.label = kid.label[same:]
			n.kids[i], kid = upper, upper
		}
		n, prefix = kid, prefix[same:]
	}
}

// common returns the length of the longest common prefix.
func common(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// longest returns the entry with the longest prefix of s, nil if there is none.
func (n *radix[T]) longest(s string) *entry[T] {
	best := n.entry
	for s != "" {
		i := strings.IndexByte(n.first, s[0])
		if i < 0 {
			break
		}
		n = n.kids[i]
		if !strings.HasPrefix(s, n.label) {
			break
		}
		s = s[len(n.label):]
		if n.entry != nil {
			best = n.entry
		}
	}
	return best
}

// grantsBelow reports whether an entry whose prefix begins with s grants something.
func (n *radix[T]) grantsBelow(s string) bool {
	for s != "" {
		i := strings.IndexByte(n.first, s[0])
		if i < 0 {
			return false
		}
		n = n.kids[i]
		part := min(len(n.label), len(s))
		if n.label[:part] != s[:part] {
			return false
		}
		s = s[part:]
	}
	return n.grants
}

// segments finds patterns with "+" by walking a path segment by segment.
// "a/+/b*" is the glob "b" at the node a, +.
type segments[T any] struct {
	kids  map[string]*segments[T]
	plus  *segments[T]
	end   *entry[T] // the pattern without "*" that ends here
	globs radix[T]  // of what follows this node's slash; without slashes
}

func (n *segments[T]) insert(e *entry[T]) {
	parts, last := e.segments, ""
	if e.glob {
		parts, last = parts[:len(parts)-1], parts[len(parts)-1]
	}
	for _, part := range parts {
		n = n.child(part)
	}
	if e.glob {
		n.globs.insert(last, e)
		return
	}
	n.end = e
}

func (n *segments[T]) child(part string) *segments[T] {
	if part == "+" {
		if n.plus == nil {
			n.plus = &segments[T]{}
		}
		return n.plus
	}
	kid := n.kids[part]
	if kid == nil {
		if n.kids == nil {
			n.kids = map[string]*segments[T]{}
		}
		kid = &segments[T]{}
		n.kids[part] = kid
	}
	return kid
}

// best returns from or the entry that outranks it and all others that match
// path. n has consumed path up to pos, by literal segments only. Of two
// matches the one with the later first "+" wins, so the deepest node that has
// any decides; from, the best known already, cuts the search short.
func (n *segments[T]) best(path string, pos int, from *entry[T]) *entry[T] {
	if pos > len(path) {
		return from
	}
	segment, next := cut(path, pos)
	if kid := n.kids[segment]; kid != nil {
		from = kid.best(path, next, from)
	}
	if n.plus == nil || (from != nil && from.firstWild > pos) {
		return from
	}
	return n.plus.search(path, next, from)
}

// search returns from or the best match at or below n that outranks it. It
// visits each node that matches, so policies that combine "+" and literals in
// every possible way cost as much as they have rules.
func (n *segments[T]) search(path string, pos int, from *entry[T]) *entry[T] {
	if pos > len(path) {
		return better(n.end, from)
	}
	from = better(n.globs.longest(path[pos:]), from)
	segment, next := cut(path, pos)
	if kid := n.kids[segment]; kid != nil {
		from = kid.search(path, next, from)
	}
	if n.plus != nil {
		from = n.plus.search(path, next, from)
	}
	return from
}
