package looks

import (
	"math"
	"regexp"
	"strings"
)

// Lengths between which a value may be told to be random.
const (
	minRandom = 20
	maxRandom = 1024
)

var (
	uuids = regexp.MustCompile(`^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	// digests are names of what everybody may know: checksums, versions, identities.
	digests = regexp.MustCompile(`(?i)(?:sum|hash|sha|sha1|sha256|md5|digest|commit|revision|version|id|uid|uuid|etag|thumbprint|fingerprint|image|tag|name|arn|url|uri|host|path|class|thanos|integrity|label|subject|issuer|caBundle|ca|crt|cert|certificate|publickey|pub)$`)
)

// random reports whether text is long, of one piece and of high entropy, and is none
// of what is so by its nature.
func random(key, text string) bool {
	if len(text) < minRandom || len(text) > maxRandom || !opaque(text) {
		return false
	}
	if hexadecimal(text) {
		if len(text) < 32 || entropy(text) < 3 {
			return false
		}
	} else if !scrambled(text) || entropy(text) < 3.8 {
		return false
	}
	return !digest(key, text)
}

// digest reports whether what looks random is so by its nature.
func digest(key, text string) bool {
	return uuids.MatchString(text) || digests.MatchString(key) ||
		strings.Contains(key, "checksum") || strings.HasPrefix(text, "sha256:") || strings.Contains(text, "@sha256:")
}

// hexadecimal reports whether text is digits and letters of one case up to f, behind 0x
// or not.
func hexadecimal(text string) bool {
	text = strings.TrimPrefix(text, "0x")
	small, capital := false, false
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9':
		case c >= 'a' && c <= 'f':
			small = true
		case c >= 'A' && c <= 'F':
			capital = true
		default:
			return false
		}
	}
	return text != "" && !(small && capital)
}

// opaque reports whether text has only characters that random values are written with.
func opaque(text string) bool {
	for i := range len(text) {
		if class(text[i]) == '.' && !strings.ContainsRune("+/=_.~!@#$%^&*-", rune(text[i])) {
			return false
		}
	}
	return true
}

// scrambled reports whether letters and digits are mixed as no words are: some piece
// between the marks is long, and changes often between digits, small and capital letters.
func scrambled(text string) bool {
	for piece := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune("/._-:=", r) }) {
		if len(piece) >= 16 && mixed(piece) {
			return true
		}
	}
	return false
}

// mixed counts how often the class of characters changes. In random texts of base64
// it changes at more than half of them; in words it seldom does.
func mixed(piece string) bool {
	changes, digits, _ := changes(piece)
	return changes*3 >= len(piece) && digits > 0
}

func class(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return '0'
	case c >= 'A' && c <= 'Z':
		return 'A'
	case c >= 'a' && c <= 'z':
		return 'a'
	}
	return '.'
}

// entropy is Shannon's, in bits for each byte of text.
func entropy(text string) float64 {
	var counts [256]int
	for i := range len(text) {
		counts[text[i]]++
	}
	sum, n := 0.0, float64(len(text))
	for _, c := range counts {
		if c > 0 {
			p := float64(c) / n
			sum -= p * math.Log2(p)
		}
	}
	return sum
}
