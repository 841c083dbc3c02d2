package syntax

import "strings"

// DidYouMean returns ` (did you mean "x"?)` for the candidate nearest to word,
// "" if none is near.
func DidYouMean(word string, candidates []string) string {
	best, bestAt := "", 3
	if len(word) > 64 {
		return ""
	}
	word = strings.ToLower(word)
	for _, c := range candidates {
		if d := distance(word, c); d < bestAt && d < len(c) {
			best, bestAt = c, d
		}
	}
	if best == "" {
		return ""
	}
	return ` (did you mean "` + best + `"?)`
}

// distance is the number of single-byte edits between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
