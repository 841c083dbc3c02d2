package sec14

import (
	"strings"
	"time"
)

const day = 24 * time.Hour

// Annotation of a namespace says when access to its Secrets was last reviewed, and
// by whom: "2026-11-01T09:30:00Z by jane@example.com".
const Annotation = "strongkeep.io/access-reviewed"

// Review is a record of one.
type Review struct {
	At time.Time
	By string
}

// ParseReview reads an annotation; false if it is none.
func ParseReview(text string) (Review, bool) {
	at, by, ok := strings.Cut(strings.TrimSpace(text), " by ")
	t, err := time.Parse(time.RFC3339, at)
	by = strings.TrimSpace(by)
	return Review{At: t, By: by}, ok && err == nil && by != ""
}
