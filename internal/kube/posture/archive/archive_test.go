package archive_test

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/archive"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/read"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func some(t testing.TB) *snapshot.Snapshot {
	t.Helper()
	k, err := fingerprint.NewKey(bytes.Repeat([]byte{1}, fingerprint.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	f := read.Files{Key: k}
	if err := f.Add("x.yaml", strings.NewReader(`
apiVersion: v1
kind: Secret
metadata: {name: db, labels: {a: b}}
stringData: {password: hunter2-hunter2}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {spec: {automountServiceAccountToken: false, containers: [{name: c, env: [{name: A, valueFrom: {secretKeyRef: {name: db, key: password}}}]}], volumes: [{name: v, secret: {secretName: db, items: [{key: a, path: b}]}}]}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [secrets], verbs: [get]}]
`)); err != nil {
		t.Fatal(err)
	}
	return f.Snapshot(noon)
}

func TestRoundTrip(t *testing.T) {
	name, want := filepath.Join(t.TempDir(), "s.gz"), some(t)
	for range 2 { // over an older one, too
		if err := archive.Write(name, want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := archive.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if left, err := os.ReadDir(filepath.Dir(name)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// What cannot be written whole leaves what was there.
func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "s.gz"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := archive.Write(filepath.Join(dir, "s.gz"), some(t)); err == nil {
		t.Error("a folder was written over")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v %v", left, err)
	}
	if err := archive.Write(filepath.Join(dir, "none", "s.gz"), some(t)); errs.KindOf(err) != errs.Invalid {
		t.Errorf("got %v", err)
	}
}

func pack(t testing.TB, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write([]byte(text)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "s.gz")
	if err := archive.Write(name, some(t)); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-6] ^= 1 // in the checksum
	for what, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"nothing":         {nil, "no snapshot"},
		"YAML":            {[]byte("a: b"), "no snapshot"},
		"other JSON":      {pack(t, `{"a":1}`), "no snapshot"},
		"another version": {pack(t, `{"schema":"strongkeep.io/snapshot/v2","snapshot":{}}`), "snapshot/v2"},
		"no snapshot":     {pack(t, `{"schema":"strongkeep.io/snapshot/v1","other":{}}`), "behind its schema"},
		"wrong types":     {pack(t, `{"schema":"strongkeep.io/snapshot/v1","snapshot":{"secrets":1}}`), "cut off"},
		"cut off":         {whole[:len(whole)-20], "cut off"},
		"changed":         {flipped, "cut off"},
	} {
		if _, err := archive.Decode(bytes.NewReader(c.raw)); errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
	if _, err := archive.Read(name + "x"); errs.KindOf(err) != errs.Invalid {
		t.Errorf("got %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"schema":"strongkeep.io/snapshot/v1","snapshot":{"secrets":[{"name":"a","values":[{"prints":[{"print":"00"}]}]}]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := archive.Decode(bytes.NewReader(pack(t, string(text))))
		if err == nil {
			_, _ = s.Finder(), s.Names()
		}
	})
}
