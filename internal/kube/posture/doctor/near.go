package doctor

import (
	"cmp"
	"slices"
	"strings"
)

// Near returns those of names that somebody who wrote given may have meant, the
// nearest first, at most three: a letter or two off, or the same but for an
// ending.
func Near(given string, names []string) []string {
	type near struct {
		name string
		far  int
	}
	var found []near
	most := max(1, min(3, len(given)/3))
	for _, n := range names {
		if n == given {
			continue
		}
		far := distance(strings.ToLower(given), strings.ToLower(n))
		if plain(given) == plain(n) {
			far = 0
		}
		if far <= most {
			found = append(found, near{n, far})
		}
	}
	slices.SortFunc(found, func(a, b near) int { return cmp.Or(cmp.Compare(a.far, b.far), cmp.Compare(a.name, b.name)) })
	var out []string
	for _, f := range found[:min(3, len(found))] {
		out = append(out, f.name)
	}
	return slices.Compact(out)
}

// plain is a name without what people mix up.
func plain(s string) string {
	return strings.NewReplacer("-", "", "_", "", ".", "").Replace(strings.ToLower(s))
}

// distance is how many letters are to be put in, taken out, changed or swapped with
// the next to make b of a.
func distance(a, b string) int {
	if d := len(a) - len(b); d > 3 || d < -3 {
		return 4
	}
	var before, last, row []int
	last = make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row = make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(last[j]+1, row[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// Names are those of held in namespace.
func Names(held []Held, namespace string) []string {
	var out []string
	for i := range held {
		if held[i].Namespace == namespace {
			out = append(out, held[i].Name)
		}
	}
	return out
}
