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
	p, star, back, i := 0, -1, 0, 0
	for i < len(s) || p < len(g) {
		if p < len(g) && g[p] == '*' {
			star, back = p, i
			if p++; p == len(g) {
				return true
			}
			continue
		}
		if n := g.step(p, s, i); n > 0 {
			p, i = p+1, i+n
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

// step returns how much of s at i what stands at p in the pattern takes, 0 if
// it does not fit.
func (g glob) step(p int, s string, i int) int {
	switch {
	case p >= len(g) || i >= len(s):
		return 0
	case g.segment(p):
		if s[i] == '/' || i > 0 && s[i-1] != '/' {
			return 0
		}
		if n := strings.IndexByte(s[i:], '/'); n > 0 {
			return n
		}
		return len(s) - i
	case g[p] == s[i]:
		return 1
	}
	return 0
}

// segment reports whether at p there is a + that stands for a segment.
func (g glob) segment(p int) bool {
	return g[p] == '+' && (p == 0 || g[p-1] == '/') && (p+1 == len(g) || g[p+1] == '/')
}
