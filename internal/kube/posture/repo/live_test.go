package repo_test

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/repo"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

func TestLive(t *testing.T) {
	k := key(t)
	print := func(text string) fingerprint.Print { return k.Of([]byte(text)) }
	s := &snapshot.Snapshot{Secrets: []snapshot.Secret{{Values: []snapshot.Value{
		{Field: "data.password", Looks: snapshot.LooksNamed, Prints: []fingerprint.Part{{Print: print("a password")}}},
		{Field: "data.username", Looks: snapshot.LooksNamed, Prints: []fingerprint.Part{{Print: print("a name")}}},
		{Field: "data.dsn", Looks: snapshot.LooksURL, Prints: []fingerprint.Part{{Print: print("a URL")}, {Print: print("in a URL"), Where: "#password"}, {Print: print("a user"), Where: "/db/user"}}},
		{Field: "data.level", Prints: []fingerprint.Part{{Print: print("information")}, {Print: print("a version"), Where: "/version"}}},
		{Field: "data.port", Prints: []fingerprint.Part{{Print: print("54321")}}},
		{Field: "data.commit", Prints: []fingerprint.Part{{Print: print("a commit")}}},
		{Field: "data.tls.crt", Looks: snapshot.LooksCert, Prints: []fingerprint.Part{{Print: print("a certificate")}}},
	}}, {Type: "helm.sh/release.v1", Values: []snapshot.Value{
		{Field: "values.x", Prints: []fingerprint.Part{{Print: print("of a chart")}}},
	}}}}
	for i := range s.Secrets {
		s.Secrets[i].Read = true
		for _, v := range s.Secrets[i].Values {
			_, name, _ := strings.Cut(v.Field, ".")
			s.Secrets[i].Keys = append(s.Secrets[i].Keys, name)
		}
	}
	live := repo.Live(s)
	for text, want := range map[string]bool{"a password": true, "a name": false, "a URL": true, "in a URL": true, "a user": false, "information": false, "a certificate": false} {
		if live[print(text)] != want {
			t.Errorf("%s: %v", text, !want)
		}
	}
	for text, want := range map[string]bool{"information": true, "a version": false, "54321": false, "a commit": false, "of a chart": false, "a name": false, "a certificate": false} {
		if _, got := live[print(text)]; got != want {
			t.Errorf("%s is looked for: %v", text, got)
		}
	}
	quiet, part := fingerprint.Part{Print: print("information")}, fingerprint.Part{Print: print("information"), Where: "/x"}
	if !repo.Stands(live, &quiet) || repo.Stands(live, &part) || !repo.Stands(live, &fingerprint.Part{Print: print("in a URL"), Where: "/x"}) {
		t.Error("what a part proves")
	}
}
