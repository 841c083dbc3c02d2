package repo

import (
	"regexp"
	"strings"

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

var notWord = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// lastWord is how the last part of a place is called.
func lastWord(place string) string {
	words := notWord.Split(strings.TrimRight(place, "]*#/"), -1)
	return strings.TrimPrefix(words[len(words)-1], "data.")
}
