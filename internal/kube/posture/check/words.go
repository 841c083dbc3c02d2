package check

import (
	"fmt"
	"slices"
	"strings"
)

// Count is "3 Secrets", "1 Secret" or "no Secrets".
func Count(n int, noun string) string {
	switch {
	case n == 0:
		return "no " + plural(noun)
	case n == 1:
		return "1 " + noun
	}
	return fmt.Sprintf("%d %s", n, plural(noun))
}

func plural(noun string) string {
	if stem, ok := strings.CutSuffix(noun, "y"); ok && stem != "" && !strings.ContainsAny(stem[len(stem)-1:], "aeou") {
		return stem + "ies"
	}
	return noun + "s"
}

// most is how many names of Affected are kept.
const most = 300

// Names are the names in order, each once, and how many there are; of very many the
// first.
func Names(all []string) (kept []string, count int) {
	kept = slices.Compact(slices.Sorted(slices.Values(all)))
	count = len(kept)
	return kept[:min(count, most)], count
}
