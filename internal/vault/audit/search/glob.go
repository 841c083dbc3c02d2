package search

import "strings"

// glob is a pattern in which * stands for any text, also with slashes, and a
// segment that is + for one segment. The empty glob fits everything.
type glob string

func newGlob(pattern string) glob { return glob(pattern) }

// match works in time proportional to the product of the lengths at worst: it
// goes back only to the last * (no exponential patterns).
func (g glob) match(s string) bool {
	if g == "" {
		return true
	}
	p, star, back := 0, -1, 0
	i := 0
	for i < len(s) || p < len(g) {
		switch {
		case p < len(g) && g[p] == '*':
			star, back = p, i
			if p++; p == len(g) {
				return true
			}
			continue
		case p < len(g) && g.segment(p) && i < len(s) && s[i] != '/' && (i == 0 || s[i-1] == '/'):
			n := strings.IndexByte(s[i:], '/')
			if n < 0 {
				n = len(s) - i
			}
			p, i = p+1, i+n
			continue
		case p < len(g) && i < len(s) && g[p] == s[i] && !g.segment(p):
			p, i = p+1, i+1
			continue
		}
		if star < 0 || back >= len(s) {
			return false
		}
		back++
		p, i = star+1, back
	}
	return true
}

// segment reports whether at p there is a + that stands for a segment.
func (g glob) segment(p int) bool {
	return g[p] == '+' && (p == 0 || g[p-1] == '/') && (p+1 == len(g) || g[p+1] == '/')
}
