package repo

import (
	"strings"
	"unicode/utf8"

	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/looks"
	"github.com/strongkeep/strongkeep/internal/kube/posture/origin"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Live are the prints of the values in a cluster's Secrets that are worth looking for,
// and of their parts that are not called otherwise: a user's name that is a Secret's key
// too is in half of all files. True is of what looks like a secret; false of what looks
// like nothing, and is one only if it is so odd that it stands in no file by chance (see
// looks.Odd), which nobody can tell from a print.
func Live(s *snapshot.Snapshot) map[fingerprint.Print]bool {
	out := map[fingerprint.Print]bool{}
	for i := range s.Secrets {
		one := &s.Secrets[i]
		for j := range one.Values {
			v := &one.Values[j]
			if sure := v.Looks.Sensitive(); sure || quiet(one, v) {
				want(out, v, sure)
			}
		}
	}
	return out
}

// quiet reports whether v may be a secret that looks like nothing. What Helm keeps of a
// chart is not: it stands in the chart.
func quiet(s *snapshot.Secret, v *snapshot.Value) bool {
	return v.Looks == "" && origin.Credential(s) && !strings.HasPrefix(v.Field, "metadata") && !looks.Open(lastWord(v.Field))
}

func want(out map[fingerprint.Print]bool, v *snapshot.Value, sure bool) {
	if public(lastWord(v.Field)) {
		return
	}
	for _, p := range v.Prints {
		if last := lastWord(p.Where); p.Where == "" || !public(last) && (sure || !looks.Open(last)) {
			out[p.Print] = out[p.Print] || sure
		}
	}
}

// Stands reports whether a value that was found in a repository is one of live, for who
// has only its prints: a part of it that looks like nothing proves nothing.
func Stands(live map[fingerprint.Print]bool, p *fingerprint.Part) bool {
	sure, known := live[p.Print]
	return sure || known && p.Where == ""
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
