package evidence_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/cli/evidence"
	"github.com/strongkeep/strongkeep/internal/cli/look"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// canary is a key, the body of a logged request, and a value of the cluster.
const canary = "canary-6e02-canary-6e02-canary-6"

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func seen(t *testing.T) *look.Seen {
	t.Helper()
	k, err := fingerprint.NewKey(bytes.Repeat([]byte{7}, fingerprint.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return &look.Seen{Key: k, Namespace: "default", Snapshot: &snapshot.Snapshot{
		Key: k.ID(), Coverage: snapshot.Coverage{},
		Secrets: []snapshot.Secret{{Meta: snapshot.Meta{Namespace: "shop", Name: "db"}, Values: []snapshot.Value{{Field: "data.password", Looks: snapshot.LooksNamed, Prints: k.Prints([]byte(canary))}}}},
	}}
}

func into(t *testing.T, f *evidence.Flags, to *look.Seen) error {
	t.Helper()
	err := f.Into(t.Context(), &session.Session{Env: session.Env{Stdin: strings.NewReader("")}}, to)
	raw, marshal := json.Marshal(to.Snapshot)
	if all := string(raw) + fmt.Sprint(err); marshal != nil || strings.Contains(all, "canary-6e02") || strings.Contains(all, base64.StdEncoding.EncodeToString([]byte(canary))[:16]) {
		t.Errorf("%v: a value is told: %s", marshal, all)
	}
	return err
}

const event = `{"kind":"Event","stage":"ResponseComplete","verb":"get","user":{"username":"jane"},"objectRef":{"resource":"secrets","namespace":"shop","name":"db"},"responseStatus":{"code":200},"responseObject":{"a":"` + canary + `"},"stageTimestamp":"2026-11-01T10:00:00Z"}` + "\n"

// Everything that can be given is in the snapshot, and no value of it.
func TestInto(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"main.go": "db := open(\"" + canary + "\")\n", "Jenkinsfile": "sh 'make'\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := &evidence.Flags{
		Encryption: file(t, "enc.yaml", "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers: [{aescbc: {keys: [{name: one, secret: "+base64.StdEncoding.EncodeToString([]byte(canary))+"}]}}]\n"),
		Since:      "2026-03-01T10:00:00Z", AuditPolicy: file(t, "p.yaml", "# "+canary+"\napiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n"),
		Logs: []string{file(t, "audit.log", event)}, Repos: []string{dir},
	}
	s := seen(t)
	if err := into(t, f, s); err != nil {
		t.Fatal(err)
	}
	if s.Control.Encryption == nil || s.Control.Encryption.Since.Month() != 3 || s.Control.AuditPlace != f.AuditPolicy || len(s.Control.AuditPolicy) == 0 {
		t.Errorf("control plane: %+v", s.Control)
	}
	if s.Activity == nil || len(s.Activity.Acts) != 1 || !s.Coverage.Whole("encryption", "audit-policy", "activity", "repos") {
		t.Errorf("activity %+v, coverage %v", s.Activity, s.Coverage)
	}
	if r := s.Repos[0]; len(r.Leaks) != 1 || r.Leaks[0].File != "main.go" || r.Compared != 1 || len(r.Pipelines) != 1 {
		t.Errorf("repository: %+v", r)
	}
	// Of a snapshot by another key nothing is compared.
	other := seen(t)
	other.Snapshot.Key = "another"
	if err := into(t, f, other); err != nil || other.Repos[0].Compared != 0 || len(other.Repos[0].Leaks) != 0 {
		t.Errorf("%v: %+v", err, other.Repos)
	}
}

func TestWrong(t *testing.T) {
	for name, f := range map[string]*evidence.Flags{
		"since of nothing":  {Since: "2026-03-01T10:00:00Z"},
		"no such file":      {Encryption: "/none/" + "x"},
		"no configuration":  {Encryption: file(t, "x", canary)},
		"no policy":         {AuditPolicy: file(t, "x", canary)},
		"no such policy":    {AuditPolicy: "/none/x"},
		"no log":            {Logs: []string{file(t, "x", canary+"\n")}},
		"no such log":       {Logs: []string{"/none/x"}},
		"no such directory": {Repos: []string{"/none/x"}},
	} {
		if err := into(t, f, seen(t)); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
