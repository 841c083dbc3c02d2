package stored

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/testenv/etcdtest"

	bolt "go.etcd.io/bbolt"
)

const canary = "canary-value-91c4"

// inEtcd starts an etcd with values.
func inEtcd(t *testing.T, values map[string]string) (*Etcd, *clientv3.Client) {
	t.Helper()
	s := etcdtest.Start(t, etcdtest.Options{TLS: true})
	e, err := Dial(EtcdConfig{Endpoints: []string{s.Endpoint}, CAFile: s.CAFile, CertFile: s.Client.Cert, KeyFile: s.Client.Key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	for k, v := range values {
		put(t, e.client, k, v)
	}
	return e, e.client
}

func put(t *testing.T, c *clientv3.Client, key, value string) {
	t.Helper()
	if _, err := c.Put(t.Context(), key, value); err != nil {
		t.Fatal(err)
	}
}

// save writes a snapshot as etcdctl does.
func save(t *testing.T, c *clientv3.Client) string {
	t.Helper()
	r, err := c.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	raw, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return file(t, raw)
}

func file(t *testing.T, raw []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "snapshot.db")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func mixed(t *testing.T) map[string]string {
	return map[string]string{
		"/registry/secrets/a/new":             sealed(t, "strongkeep", "id-2"),
		"/registry/secrets/a/old":             sealed(t, "strongkeep", "id-1"),
		"/registry/secrets/b/clear":           "k8s\x00" + canary,
		"/registry/secrets/b/local":           "k8s:enc:aescbc:v1:key1:data",
		"/registry/secrets/b/broken":          "k8s:enc:kms:v2:strongkeep:" + canary,
		"/registry/secretsandmore/b/other":    "k8s\x00",
		"/registry/example.com/widgets/c/one": sealed(t, "strongkeep", "id-2"),
		"/registry/configmaps/c/two":          "k8s\x00",
	}
}

func answers(r *Report) string {
	var out []string
	for _, a := range r.Answers {
		out = append(out, a.Answer)
	}
	return strings.Join(out, ", ")
}

func verify(t *testing.T, from Source, cfg Config) *Report {
	t.Helper()
	r, err := Verify(t.Context(), from, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What lies there is counted and named, and no value is told; from etcd and from its
// snapshot alike.
func TestVerify(t *testing.T) {
	e, client := inEtcd(t, mixed(t))
	for name, from := range map[string]Source{"etcd": e, "snapshot": Snapshot{save(t, client)}} {
		r := verify(t, from, Config{Resources: []string{"secrets", "widgets.example.com"}, Provider: "strongkeep", KeyID: "id-2"})
		want := []Resource{
			{Name: "secrets", Values: 5, Under: []Group{
				{"aescbc/key1", "", 1}, {"broken/strongkeep", "", 1}, {"clear", "", 1}, {"kms-v2/strongkeep", "id-1", 1}, {"kms-v2/strongkeep", "id-2", 1},
			}},
			{Name: "widgets.example.com", Values: 1, Under: []Group{{"kms-v2/strongkeep", "id-2", 1}}},
		}
		if !reflect.DeepEqual(r.Resources, want) {
			t.Errorf("%s: %+v, want %+v", name, r.Resources, want)
		}
		var found []string
		for _, f := range r.Findings {
			found = append(found, f.Name+" "+f.Why)
		}
		if got := strings.Join(found, "\n"); got != "a/old under another key\nb/broken "+unreadable+"\nb/clear in the clear\nb/local under another provider" || r.Found != 4 || r.Holds() {
			t.Errorf("%s: found %d:\n%s", name, r.Found, got)
		}
		if raw, err := json.Marshal(r); err != nil || strings.Contains(string(raw), canary) {
			t.Errorf("%s: the report tells a value, or: %v", name, err)
		}
		if r.Instants != 1 || r.Revision == 0 || r.History != (name == "snapshot") {
			t.Errorf("%s: %+v", name, r.Origin)
		}
	}
}

// What lies elsewhere is counted by what it is under, and is no part of the report.
func TestWide(t *testing.T) {
	values := mixed(t)
	values["/elsewhere/secrets/a/one"], values["/elsewhere/secrets/a/two"] = sealed(t, "strongkeep", "id-1"), "k8s\x00"+canary
	e, client := inEtcd(t, values)
	for name, from := range map[string]Source{"etcd": e, "snapshot": Snapshot{save(t, client)}} {
		w := &Wide{Source: from}
		cfg := Config{Resources: []string{"*.*"}}
		r, plain := verify(t, w, cfg), verify(t, from, cfg)
		if !reflect.DeepEqual(r, plain) {
			t.Errorf("%s: %+v, and %+v without", name, r, plain)
		}
		if want := (map[Under]int{{Kind: KMSv2, Name: "strongkeep", KeyID: "id-1"}: 1, {Kind: Clear}: 1}); !reflect.DeepEqual(w.Elsewhere, want) {
			t.Errorf("%s: elsewhere is %v, want %v", name, w.Elsewhere, want)
		}
	}
}

// Never yes for what was not checked.
func TestAnswers(t *testing.T) {
	e, _ := inEtcd(t, mixed(t))
	for name, c := range map[string]struct {
		cfg   Config
		want  string
		holds bool
	}{
		"all told":                    {Config{Resources: []string{"widgets.example.com"}, Provider: "strongkeep", KeyID: "id-2"}, "yes, yes, yes, not checked", true},
		"nothing told":                {Config{Resources: []string{"widgets.example.com"}}, "yes, not checked, not checked, not checked", true},
		"another key":                 {Config{Resources: []string{"widgets.example.com"}, KeyID: "id-3"}, "yes, not checked, no, not checked", false},
		"another kind":                {Config{Resources: []string{"widgets.example.com"}, Provider: "kms-v1/strongkeep"}, "yes, no, not checked, not checked", false},
		"in the clear":                {Config{Resources: []string{"configmaps"}}, "no, not checked, not checked, not checked", false},
		"clear, provider":             {Config{Resources: []string{"configmaps"}, Provider: "strongkeep", KeyID: "id-2"}, "no, no, no, not checked", false},
		"nothing there":               {Config{Resources: []string{"widgets.example.com", "gadgets.example.com"}, Provider: "strongkeep", KeyID: "id-2"}, "not checked, not checked, not checked, not checked", false},
		"one is not there":            {Config{Resources: []string{"secrets", "gadgets.example.com"}, Provider: "strongkeep", KeyID: "id-2"}, "no, no, no, not checked", false},
		"the key, under another name": {Config{Resources: []string{"widgets.example.com"}, Provider: "renamed", KeyID: "id-2"}, "yes, no, yes, not checked", false},
		"another prefix":              {Config{Prefix: "/other", Resources: []string{"secrets"}, Provider: "strongkeep", KeyID: "id-2"}, "not checked, not checked, not checked, not checked", false},
	} {
		if r := verify(t, e, c.cfg); answers(r) != c.want || r.Holds() != c.holds {
			t.Errorf("%s: %s and %t, want %s", name, answers(r), r.Holds(), c.want)
		}
	}
	for name, cfg := range map[string]Config{
		"none": {}, "a group of Kubernetes' own": {Resources: []string{"*.apps"}}, "the core group": {Resources: []string{"*."}}, "its k8s.io": {Resources: []string{"*.coordination.k8s.io"}},
		"all and one": {Resources: []string{"secrets", "*.*"}}, "a group and one of it": {Resources: []string{"*.example.com", "widgets.example.com"}}, "twice": {Resources: []string{"secrets", "secrets"}},
		"the same place": {Resources: []string{"events", "events.events.k8s.io"}},
	} {
		if _, err := Verify(t.Context(), e, cfg); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A wildcard covers what lies there, whatever is served; and one that covers nothing is
// not checked.
func TestWildcards(t *testing.T) {
	values := mixed(t)
	values["/registry/ranges/serviceips"] = "k8s\x00" // which no API server encrypts
	values["/registry/services/specs/a/b"] = "k8s\x00"
	values["/registry/example.com/gadgets/c/one"] = sealed(t, "strongkeep", "id-1")
	e, client := inEtcd(t, values)
	for name, from := range map[string]Source{"etcd": e, "snapshot": Snapshot{save(t, client)}} {
		count := func(resources ...string) string {
			var out []string
			r := verify(t, from, Config{Resources: resources, Provider: "strongkeep"})
			for _, one := range r.Resources {
				out = append(out, fmt.Sprintf("%s %d", one.Name, one.Values))
			}
			return strings.Join(out, ", ") + ": " + r.Answers[0].Answer + ", " + r.Answers[1].Answer
		}
		for resource, want := range map[string]string{
			"*.*":           "configmaps 1, gadgets.example.com 1, widgets.example.com 1, secrets 5, secretsandmore 1, services 1: no, no",
			"*.example.com": "gadgets.example.com 1, widgets.example.com 1: yes, yes",
			"*.example.org": ": not checked, not checked",
		} {
			if got := count(resource); got != want {
				t.Errorf("%s: %s: %s, want %s", name, resource, got, want)
			}
		}
		if got := count("*.example.com", "*.example.org"); !strings.HasSuffix(got, ": not checked, not checked") {
			t.Errorf("%s: with one that is not there: %s", name, got)
		}
	}
}

// Of a running etcd it is known when each value was written.
func TestRevision(t *testing.T) {
	e, client := inEtcd(t, nil)
	for range 2 {
		put(t, client, "/registry/leases/kube-system/one", "k8s\x00")
	}
	var got []int64
	o, err := e.Read(t.Context(), []string{"/registry/leases/"}, func(e Entry) { got = append(got, e.Revision) })
	if err != nil || len(got) != 1 || got[0] != o.Revision || got[0] < 3 {
		t.Errorf("%v of %d, %v", got, o.Revision, err)
	}
}

// Each value is given to who asks for it, with the revision that wrote it; those that
// were overwritten or deleted too, where a snapshot has them.
func TestEach(t *testing.T) {
	e, client := inEtcd(t, map[string]string{"/registry/secrets/a/x": "k8s\x00" + canary})
	put(t, client, "/registry/secrets/a/x", sealed(t, "strongkeep", "id-1"))
	for name, from := range map[string]Source{"etcd": e, "snapshot": Snapshot{save(t, client)}} {
		var got []string
		verify(t, from, Config{Resources: []string{"secrets"}, Each: func(o Object, u Under, e Entry) {
			got = append(got, fmt.Sprintf("%s %s %s %d %t", o.Resource, o.Name, u.Provider(), e.Revision, e.Superseded))
		}})
		want := []string{"secrets a/x clear 2 true", "secrets a/x kms-v2/strongkeep 3 false"}
		if name == "etcd" {
			want = want[1:]
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// All findings are counted, however few are named.
func TestMost(t *testing.T) {
	values := map[string]string{}
	for i := range 300 {
		values[fmt.Sprintf("/registry/secrets/ns/s%03d", i)] = "k8s\x00" + strings.Repeat("x", 20_000)
	}
	e, client := inEtcd(t, values)
	for name, from := range map[string]Source{"etcd": e, "snapshot": Snapshot{save(t, client)}} {
		r := verify(t, from, Config{Resources: []string{"secrets"}, Most: 2})
		if r.Found != 300 || len(r.Findings) != 2 || r.Findings[1].Name != "ns/s001" {
			t.Errorf("%s: %d found, named %v", name, r.Found, r.Findings)
		}
	}
}

// compacting has etcd forget the revision that is read at, after the first value.
type compacting struct {
	*Etcd
	t *testing.T
}

func (c compacting) Read(ctx context.Context, folders []string, visit func(Entry)) (Origin, error) {
	first := true
	return c.Etcd.Read(ctx, folders, func(e Entry) {
		visit(e)
		if !first {
			return
		}
		first = false
		r, err := c.client.Put(ctx, "/registry/secrets/ns/s299", "k8s:enc:aescbc:v1:key1:data")
		if err != nil {
			c.t.Fatal(err)
		}
		if _, err := c.client.Compact(ctx, r.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
			c.t.Fatal(err)
		}
	})
}

// A revision that etcd forgets while it is read costs no value.
func TestCompaction(t *testing.T) {
	values := map[string]string{}
	for i := range 300 {
		values[fmt.Sprintf("/registry/secrets/ns/s%03d", i)] = "k8s\x00"
	}
	e, _ := inEtcd(t, values)
	r := verify(t, compacting{e, t}, Config{Resources: []string{"secrets"}})
	if r.Resources[0].Values != 300 || r.Found != 299 || r.Instants != 2 {
		t.Errorf("%d values, %d found, %d instants", r.Resources[0].Values, r.Found, r.Instants)
	}
}

// What was overwritten or deleted in the clear still stands in the file.
func TestHistory(t *testing.T) {
	_, client := inEtcd(t, map[string]string{"/registry/secrets/a/x": "k8s\x00" + canary, "/registry/secrets/a/gone": "k8s\x00" + canary})
	put(t, client, "/registry/secrets/a/x", sealed(t, "strongkeep", "id-1"))
	put(t, client, "/registry/secrets/a/x", sealed(t, "strongkeep", "id-2"))
	deleted, err := client.Delete(t.Context(), "/registry/secrets/a/gone")
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Resources: []string{"secrets"}, Provider: "strongkeep", KeyID: "id-2"}
	before := verify(t, Snapshot{save(t, client)}, cfg)
	if before.Resources[0].Values != 1 || before.Resources[0].SupersededClear != 2 || answers(before) != "yes, yes, yes, no" || before.Holds() {
		t.Errorf("%+v, %s", before.Resources, answers(before))
	}
	if _, err := client.Compact(t.Context(), deleted.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	if nothing := verify(t, Snapshot{save(t, client)}, Config{Resources: []string{"gadgets.example.com"}}); answers(nothing) != "not checked, not checked, not checked, not checked" {
		t.Errorf("of a resource that is not there: %s", answers(nothing))
	}
	after := verify(t, Snapshot{save(t, client)}, cfg)
	if after.Resources[0].SupersededClear != 0 || answers(after) != "yes, yes, yes, yes" || !after.Holds() {
		t.Errorf("compacted: %+v, %s", after.Resources, answers(after))
	}
}

// A file that is damaged, cut, or something else is told, and nothing ends the program.
func TestBadSnapshot(t *testing.T) {
	values := map[string]string{}
	for i := range 300 {
		values[fmt.Sprintf("/registry/secrets/ns/s%03d", i)] = strings.Repeat("x", 2000)
	}
	_, client := inEtcd(t, values)
	raw, err := os.ReadFile(save(t, client))
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte(nil), raw...)
	flipped[len(flipped)/2] ^= 1
	other := filepath.Join(t.TempDir(), "other.db")
	db, err := bolt.Open(other, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	locked := filepath.Join(t.TempDir(), "locked.db")
	held, err := bolt.Open(locked, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path string
		want errs.Kind
	}{
		"one bit":         {file(t, flipped), errs.Invalid},
		"cut":             {file(t, raw[:len(raw)/2/4096*4096]), errs.Invalid},
		"cut to two":      {file(t, raw[:2*4096]), errs.Invalid},
		"text":            {file(t, []byte(strings.Repeat("not a database\n", 1000))), errs.Invalid},
		"empty":           {file(t, nil), errs.Invalid},
		"a folder":        {t.TempDir(), errs.Invalid},
		"nothing":         {filepath.Join(t.TempDir(), "none"), errs.NotExist},
		"another's":       {other, errs.Invalid},
		"an etcd runs it": {locked, errs.Conflict},
	} {
		_, err := Verify(t.Context(), Snapshot{c.path}, Config{Resources: []string{"secrets"}})
		if errs.KindOf(err) != c.want || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r := verify(t, Snapshot{file(t, raw[:len(raw)-32])}, Config{Resources: []string{"secrets"}}); r.Resources[0].Values != 300 || !strings.HasSuffix(r.Source, "(without a checksum)") {
		t.Errorf("without its sum: %d values of %s", r.Resources[0].Values, r.Source)
	}
}

func TestDial(t *testing.T) {
	for name, cfg := range map[string]EtcdConfig{
		"no endpoint": {}, "no key": {Endpoints: []string{"x"}, CertFile: "a"}, "no file": {Endpoints: []string{"x"}, CAFile: filepath.Join(t.TempDir(), "none")},
	} {
		if e, err := Dial(cfg); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: %v %v", name, e, err)
		}
	}
	// Without the certificate that it asks for.
	s := etcdtest.Start(t, etcdtest.Options{TLS: true})
	e, err := Dial(EtcdConfig{Endpoints: []string{s.Endpoint}, CAFile: s.CAFile, Patience: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	if _, err := Verify(t.Context(), e, Config{Resources: []string{"secrets"}}); errs.KindOf(err) != errs.Unavailable {
		t.Error(err)
	}
}

// FuzzRevision gives what a snapshot may hold.
func FuzzRevision(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x02_\x00\x00\x00\x00\x00\x00\x00\x00"), []byte("\x0a\x17/registry/secrets/a/b/c\x2a\x01x"))
	f.Fuzz(func(t *testing.T, revision, value []byte) {
		h := history{folders: []string{"/registry/secrets/"}, visit: func(Entry) {}, last: map[string]version{}}
		if err := h.add(revision, value); err != nil && errs.KindOf(err) != errs.Invalid {
			t.Fatal(err)
		}
	})
}
