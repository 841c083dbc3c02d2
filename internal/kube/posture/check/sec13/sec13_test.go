package sec13_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/checktest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec13"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

func value(t *testing.T, field string, l snapshot.Looks, text string) snapshot.Value {
	t.Helper()
	k, err := fingerprint.NewKey(bytes.Repeat([]byte{7}, fingerprint.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return snapshot.Value{Field: field, Looks: l, Prints: k.Prints([]byte(text))}
}

func with(leaks ...snapshot.Leak) snapshot.Snapshot {
	return snapshot.Snapshot{Repos: []snapshot.Repo{{Place: "/src/shop", Git: true, Blobs: 9, Compared: 3, Leaks: leaks}}}
}

func TestCheck(t *testing.T) {
	live := snapshot.Secret{Meta: snapshot.Meta{Namespace: "shop", Name: "db"}, Values: []snapshot.Value{value(t, "data.password", snapshot.LooksNamed, "hunter2-hunter2"), value(t, "data.username", "", "shop-user")}}
	inUse := with(snapshot.Leak{Commit: "0123456789abcdef", File: "main.go", Line: 3, Value: value(t, "", "", "hunter2-hunter2")})
	inUse.Secrets = []snapshot.Secret{live}
	name := with(snapshot.Leak{File: "main.go", Line: 3, Value: value(t, "", snapshot.LooksURL, "shop-user")})
	name.Secrets = []snapshot.Secret{live}
	quiet := with(snapshot.Leak{File: "main.go", Line: 3, Value: value(t, "", "", "xk29fq8zt1lm")})
	quiet.Repos[0].Binary = 2
	quiet.Secrets = []snapshot.Secret{{Meta: snapshot.Meta{Namespace: "shop", Name: "db"}, Read: true, Keys: []string{"value"}, Values: []snapshot.Value{value(t, "data.value", "", "xk29fq8zt1lm")}}}
	part := quiet
	part.Repos = with(snapshot.Leak{File: "main.go", Line: 3, Value: value(t, "", snapshot.LooksToken, `{"a": "xk29fq8zt1lm", "b": "other"}`)}).Repos
	folder, blind, images := with(), with(), with()
	images.Repos[0].Binary = images.Repos[0].Blobs
	closed := with()
	closed.Repos[0].Binary, closed.Repos[0].Closed = 8, 2
	beside := with()
	beside.Repos = append(beside.Repos, images.Repos...)
	folder.Repos[0].Git = false
	blind.Repos[0].Compared = 0
	manifest := value(t, "data.password", snapshot.LooksNamed, "another-one")
	checktest.Run(t, sec13.Check(), []checktest.Case{
		{Name: "no repository", Answer: check.Unknown, Needs: []string{"--repo"}},
		{Name: "none", Answer: check.Yes, Snapshot: with()},
		{Name: "a folder has no history", Answer: check.Unknown, Needs: []string{"history"}, Snapshot: folder},
		{Name: "nothing to compare with", Answer: check.Unknown, Needs: []string{"values"}, Snapshot: blind},
		{Name: "nothing but images and archives", Answer: check.Unknown, Needs: []string{"9 file versions are no text"}, Snapshot: images},
		{Name: "one of two is nothing but images", Answer: check.Unknown, Needs: []string{"9 file versions are no text"}, Snapshot: beside},
		{Name: "a text beside archives and key stores", Answer: check.Unknown, Needs: []string{"2 of its file versions are archives, key stores or databases"}, Snapshot: closed},
		{Name: "in use", Answer: check.No, Findings: []string{"LiveValue File shop:main.go at value"}, Snapshot: inUse},
		{Name: "in use, and looks like nothing", Answer: check.No, Findings: []string{"LiveValue File shop:main.go at value"}, Snapshot: quiet},
		{Name: "a part that looks like nothing proves nothing", Answer: check.Partly, Findings: []string{"Token File shop:main.go at Token"}, Snapshot: part},
		{Name: "a name of the cluster is no secret", Answer: check.Partly, Findings: []string{"PasswordURL File shop:main.go at PasswordURL"}, Snapshot: name},
		{Name: "a manifest, in three versions", Answer: check.No, Findings: []string{"Manifest File shop:db.yaml at data.password", "Manifest File shop:db.yaml at data.password (2)", "Manifest File shop:db.yaml at data.password (3)"},
			Snapshot: with(snapshot.Leak{File: "db.yaml", Line: 1, Value: manifest}, snapshot.Leak{File: "db.yaml", Line: 2, Value: manifest}, snapshot.Leak{File: "db.yaml", Line: 3, Unreachable: true, Value: manifest})},
		{Name: "not all Secrets were compared", Answer: check.Unknown, Needs: []string{"secrets of prod could not be read: no right"}, Snapshot: partly(with())},
		{Name: "a token", Answer: check.Partly, Findings: []string{"Token File shop:ci.sh at Token"}, Snapshot: with(snapshot.Leak{File: "ci.sh", Line: 1, Value: value(t, "", snapshot.LooksToken, "x")})},
		{Name: "a test's key", Answer: check.Partly, Findings: []string{"PrivateKey File shop:tls/testdata/id.pem at PrivateKey"}, Snapshot: with(snapshot.Leak{File: "tls/testdata/id.pem", Line: 1, Value: value(t, "", snapshot.LooksPrivateKey, "x")})},
		{Name: "a test's manifest", Answer: check.Partly, Findings: []string{"Manifest File shop:test/db.yaml at data.password"}, Snapshot: with(snapshot.Leak{File: "test/db.yaml", Line: 1, Value: manifest})},
	})
}

// partly has the Secrets of one namespace alone.
func partly(s snapshot.Snapshot) snapshot.Snapshot {
	s.Coverage = snapshot.Coverage{"repos": {}, "secrets": {Namespaces: []string{"prod"}, Reason: "no right"}}
	return s
}

// Who is affected, where, and how bad.
func TestDetails(t *testing.T) {
	s := with(snapshot.Leak{Commit: "0123456789abcdef", File: "a/testdata/x", Line: 3, Unreachable: true, Value: value(t, "", "", "hunter2-hunter2")})
	s.Secrets = []snapshot.Secret{{Meta: snapshot.Meta{Namespace: "shop", Name: "db"}, Values: []snapshot.Value{value(t, "data.password", snapshot.LooksNamed, "hunter2-hunter2")}}}
	s.Coverage = snapshot.Coverage{"repos": {}}
	f := checktest.Judge(sec13.Check(), &s, check.Settings{}).Findings[0]
	if f.Severity != check.Critical || f.Affected[0] != "shop/db data.password" || f.Place != "/src/shop: 0123456789ab:a/testdata/x:3" || !strings.Contains(f.Fix.Text, "gc --prune=now") {
		t.Errorf("%+v", f.Finding)
	}
}

// What was not looked into is no file that was looked at.
func TestBinary(t *testing.T) {
	s := with()
	s.Repos[0].Binary = 2
	s.Coverage = snapshot.Coverage{"repos": {}}
	r := checktest.Judge(sec13.Check(), &s, check.Settings{})
	if !strings.HasPrefix(r.Summary, "7 file versions were looked into") || !strings.Contains(r.Summary, "2 are no text and were not") {
		t.Error(r.Summary)
	}
	if e := r.Evidence; len(e) != 1 || !strings.HasPrefix(e[0].Fact, "7 file versions were looked at") || !strings.Contains(e[0].Fact, "2 others are no text") {
		t.Errorf("%+v", e)
	}
}
