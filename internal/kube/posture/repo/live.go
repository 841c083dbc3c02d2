package repo

import (
	"strings"
	"unicode/utf8"

	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Live are the prints of the values in a cluster's Secrets that are worth looking
// for: of those that look like a secret, and of their parts that are not called
// otherwise. A user's name that is a Secret's key too is in half of all files.
func Live(s *snapshot.Snapshot) map[fingerprint.Print]bool {
	out := map[fingerprint.Print]bool{}
	for i := range s.Secrets {
		for j := range s.Secrets[i].Values {
			v := &s.Secrets[i].Values[j]
			if !v.Looks.Sensitive() || public(lastWord(v.Field)) {
				continue
			}
			for _, p := range v.Prints {
				if p.Where == "" || !public(lastWord(p.Where)) {
					out[p.Print] = true
				}
			}
		}
	}
	return out
}

// lastWord is how the last part of a place is called.
func lastWord(place string) string {
	place = strings.TrimRight(place, "]*#/")
	at := strings.LastIndexFunc(place, func(c rune) bool {
		return c > 'z' || !strings.ContainsRune("._-", c) && (c < '0' || c > '9' && c < 'A' || c > 'Z' && c < 'a')
	})
	if at >= 0 {
		_, size := utf8.DecodeRuneInString(place[at:])
		place = place[at+size:]
	}
	return strings.TrimPrefix(place, "data.")
}
