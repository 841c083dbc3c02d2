package looks

import "strings"

// Open reports whether a key names what everybody may know: a digest, a version, a name.
func Open(key string) bool { return digests.MatchString(key) }

// Lengths of pieces that no word is.
const (
	shortPiece = 8
	longPiece  = 10
)

// Odd reports whether a text that is known to be somebody's secret is so odd that it
// stands nowhere else by chance: of one piece, mixed as neither words nor names of hosts,
// versions, dates or identities are.
func Odd(text string) bool {
	if len(text) < shortPiece || len(text) > maxRandom || !opaque(text) || uuids.MatchString(text) || strings.Contains(text, "://") {
		return false
	}
	for piece := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune("/._-:=@", r) }) {
		if odd(piece) {
			return true
		}
	}
	return false
}

func odd(piece string) bool {
	changes, digits, letters := changes(piece)
	return letters > 0 && (len(piece) >= shortPiece && changes >= 3 && digits > 0 || len(piece) >= longPiece && changes >= 5)
}

// changes counts how often the class of characters changes in a piece that is not empty,
// its digits and its letters.
func changes(piece string) (changes, digits, letters int) {
	last := class(piece[0])
	for i := range len(piece) {
		c := class(piece[i])
		switch c {
		case '0':
			digits++
		case 'a', 'A':
			letters++
		}
		if c != last {
			changes++
		}
		last = c
	}
	return changes, digits, letters
}
