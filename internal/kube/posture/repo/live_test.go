package repo_test

import (
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
		{Field: "data.level", Prints: []fingerprint.Part{{Print: print("information")}}},
		{Field: "data.tls.crt", Looks: snapshot.LooksCert, Prints: []fingerprint.Part{{Print: print("a certificate")}}},
	}}}}
	live := repo.Live(s)
	for text, want := range map[string]bool{"a password": true, "a name": false, "a URL": true, "in a URL": true, "a user": false, "information": false, "a certificate": false} {
		if live[print(text)] != want {
			t.Errorf("%s: %v", text, !want)
		}
	}
}
