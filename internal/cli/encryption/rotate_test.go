package encryption

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/backup"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/turn"
)

// printed is what people see of a state.
func printed(t *testing.T, s *turn.State, format string) string {
	t.Helper()
	var out bytes.Buffer
	x := command{&session.Session{Env: session.Env{Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }}, Format: format}, "", nil}
	if err := x.printTurn(s, &turnFlags{plugin: "/etc/strongkeep/kms.yaml"}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// It says what may go only when that is proven, and what needs it and was not looked at.
func TestPrintTurn(t *testing.T) {
	none := 0
	s := &turn.State{
		Steps: []turn.Step{{What: "the key store has the version", State: "done"}},
		Versions: []turn.Version{
			{ID: "3", KeyID: "k3", Role: turn.New}, {ID: "2", KeyID: "k2", Role: turn.Old, Values: &none, Retire: []string{"disable 2"}},
			{ID: "1", KeyID: "k1", Role: turn.Old, Values: &none, Retire: []string{"disable 1"}, Known: true, Backups: []string{"a.db"}},
		},
		Evidence: &turn.Evidence{Origin: stored.Origin{Source: "etcd"}, Holdings: []turn.Holding{{Resource: "secrets", Provider: "kms-v2/p", KeyID: "k3", Version: "3", Values: 12}}},
		Next:     []string{"make the next"},
	}
	if said := printed(t, s, "table"); strings.Contains(said, "disable") || strings.Contains(said, "Nor were") || !strings.Contains(said, "secrets     12        kms-v2/p    3          k3") {
		t.Errorf("not proven:\n%s", said)
	}
	s.Proven = true
	said := printed(t, s, "table")
	for _, want := range []string{
		"No value in etcd is under version 1, 2. Disable now what may go, or run this again with -dry-run right before", "version 2: disable 2", "version 1: disable 1", "it is the known_key_id in /etc/strongkeep/kms.yaml: tell a newer one on every node, k3",
		"which need it: a.db", "Nor were backups of etcd", "The next version: make the next",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	if strings.Index(said, "disable 1") > strings.Index(said, "disable 2") {
		t.Errorf("the newest is to go first:\n%s", said)
	}
	if strings.Contains(said, "none will be") {
		t.Errorf("it promises what plugins may do that are started later:\n%s", said)
	}
	s.Backups = &backup.List{}
	if said := printed(t, s, "table"); !strings.Contains(said, "No backup of etcd was found where -backups says") {
		t.Errorf("an empty directory:\n%s", said)
	}
	s.Backups = &backup.List{Backups: []backup.Backup{
		{Name: "a.db", Keys: []backup.Need{{Provider: "kms-v2/p", KeyID: "k1", Values: 7}, {Provider: "kms-v2/p", KeyID: "elsewhere", Values: 1}}, Gone: time.Unix(1e9, 0)},
		{Name: "b.db.gz", Unread: "packed"}, {Name: "c.db"},
		{Name: "c.db@2001", Of: "c.db", Gone: time.Unix(1e9, 0)},
	}}
	said = strings.Join(strings.Fields(printed(t, s, "table")), " ")
	for _, want := range []string{"a.db gone since 2001-09-09T01:46:40Z 1 (7), elsewhere (1)", "b.db.gz there not known: packed", "c.db there none", "c.db@2001 written over, gone since 2001-09-09T01:46:40Z none", "it is not known which version they need: b.db.gz."} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	if said := printed(t, s, "json"); !strings.Contains(said, `"proven": true`) || !strings.Contains(said, `"retire": [`) {
		t.Errorf("JSON:\n%s", said)
	}
}

// What cannot be right is refused before anything is asked.
func TestRotateKeyRefused(t *testing.T) {
	dir := t.TempDir()
	if _, err := file.Generate(filepath.Join(dir, "key")); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := "-config=" + write("kms.yaml", "name: test\nkey: {file: {path: "+filepath.Join(dir, "key")+"}}\n")
	unit := "-config=" + write("unit.yaml", "name: test\nkey: {file: {path: \"credential:kms-key\"}}\n")
	kubeconfig := "-kubeconfig=" + write("kubeconfig", "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n")
	for want, args := range map[string][]string{
		"with -etcd; for snapshots there is -backups": {good, "-snapshot=x"},
		"give both":                 {good, "-forget=x"},
		"reading the configuration": {"-config=" + dir + "/none"},
		"CREDENTIALS_DIRECTORY=/run/credentials/strongkeep-kms.service": {unit, "-dry-run"},
		"say where it is, with -etcd=https://127.0.0.1:2379":            {good, kubeconfig},
		"there are no wildcards":                                        {good, kubeconfig, "-dry-run", "-resource=*.*"},
		"there is no directory " + dir + "/none of backups":             {good, kubeconfig, "-dry-run", "-backups=" + dir + "/none"},
		"asking the API server https://127.0.0.1:1 for its metrics":     {good, kubeconfig, "-dry-run"},
	} {
		var out bytes.Buffer
		c := Command(&session.Session{Env: session.Env{Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }}, Format: "table"}, "", map[string]keystore.Opener{"file": file.Open})
		c.SetArgs(append([]string{"rotate-key"}, longFlags(args)...))
		c.SilenceErrors, c.SilenceUsage = true, true
		if err := c.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) || out.Len() > 0 {
			t.Errorf("%v: %v; want %q, and no answer:\n%s", args, err, want, &out)
		}
	}
}

// longFlags have two dashes, as Command takes them by itself.
func longFlags(args []string) []string {
	var out []string
	for _, a := range args {
		out = append(out, "-"+a)
	}
	return out
}
