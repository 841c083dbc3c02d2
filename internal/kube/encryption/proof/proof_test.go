package proof_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/proof"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

const (
	canary = "canary-value-c41d"
	uid    = "11111111-2222-4333-8444-555555555555"
	// sealed is of KMS v2: data 1, key id 2, source 3.
	sealed = "k8s:enc:kms:v2:strongkeep:\x0a\x01d\x12\x03sk1\x1a\x01s"
)

// values is a source of entries.
type values []stored.Entry

func (v values) Read(_ context.Context, folders []string, visit func(stored.Entry)) (stored.Origin, error) {
	for _, f := range folders {
		for _, e := range v {
			if strings.HasPrefix(string(e.Key), f) {
				visit(e)
			}
		}
	}
	return stored.Origin{Source: "etcd at test", Revision: 77, Instants: 1}, nil
}

func entry(key, value string, revision int64) stored.Entry {
	return stored.Entry{Key: []byte(key), Value: []byte(value), Revision: revision}
}

// namespace is kube-system as an API server stores it.
func namespace(t testing.TB, id string) stored.Entry {
	t.Helper()
	raw, err := (&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: types.UID(id)}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	whole, err := (&runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, Raw: raw}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return entry("/registry/namespaces/kube-system", "k8s\x00"+string(whole), 5)
}

// api is an API server that tells a cluster, a lease and metrics.
type api struct {
	uid, hash, key string
	version, later int64 // of its lease: when it is asked first, and then
	gone, lost     bool  // from the second time on: the API server's word on its cluster, the lease
	silent         time.Duration

	asked, listed atomic.Int32
}

func (a *api) start(t testing.TB) *rest.Config {
	t.Helper()
	const id = "apiserver-abc"
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/api/v1/namespaces/kube-system":
			if a.asked.Add(1) > 1 && a.gone {
				http.Error(w, "{}", http.StatusForbidden)
				return
			}
			_, _ = fmt.Fprintf(w, `{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"kube-system","uid":%q}}`, a.uid)
		case "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases":
			version, name := a.version, id
			if a.listed.Add(1) > 1 {
				version = a.later
			}
			if a.asked.Load() > 1 && a.lost {
				name = "apiserver-new"
			}
			_, _ = fmt.Fprintf(w, `{"kind":"LeaseList","apiVersion":"coordination.k8s.io/v1","metadata":{},"items":[{"metadata":{"name":%q,"namespace":"kube-system","resourceVersion":"%d"}}]}`, name, version)
		case "/metrics":
			w.Header().Set("Content-Type", "text/plain")
			hash := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(id)))
			_, _ = fmt.Fprintf(w, "apiserver_encryption_config_controller_last_config_info{apiserver_id_hash=%q,hash=%q} 1\n", hash, a.hash)
			_, _ = fmt.Fprintf(w, "apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds{apiserver_id_hash=%q,key_id_hash=\"sha256:%x\",provider_name=\"strongkeep\"} %d\n", hash, sha256.Sum256([]byte(a.key)), time.Now().Add(-a.silent).Unix())
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return &rest.Config{Host: s.URL, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
}

const file = "kind: EncryptionConfiguration # " + canary

// config is one in which all is well.
func config(t testing.TB) (proof.Config, *api) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "encryption.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &api{uid: uid, hash: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(file))), key: "sk1", version: 70, later: 72}
	cfg := proof.Config{
		Stored: values{
			namespace(t, uid), entry("/registry/leases/kube-system/apiserver-abc", "k8s\x00lease", 71), entry("/registry/leases/kube-system/other", "k8s\x00lease", 1),
			entry("/registry/secrets/shop/db", sealed, 6), entry("/registry/secrets/shop/web", sealed, 7),
		},
		Verify: stored.Config{Resources: []string{"secrets"}, Provider: "strongkeep", KeyID: "sk1"},
		REST:   a.start(t), File: path, Host: "node-1", Version: "v1", Now: func() time.Time { return time.Date(2026, 11, 22, 18, 0, 0, 0, time.UTC) },
	}
	return cfg, a
}

func make1(t testing.TB, cfg proof.Config) *proof.Statement {
	t.Helper()
	s, err := proof.Make(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMake(t *testing.T) {
	cfg, _ := config(t)
	s := make1(t, cfg)
	for _, id := range []string{proof.Encrypted, proof.Provider, proof.Key, proof.OfCluster, proof.Configuration, proof.Plugins} {
		if a := s.Answered(id); a.Answer.Answer != stored.Yes {
			t.Errorf("%+v", a)
		}
	}
	if a := s.Answered("none"); a.Answer.Answer != stored.NotChecked {
		t.Errorf("%+v", a)
	}
	if !s.Holds() || s.Cluster != uid || s.Read.Revision != 77 || s.Read.Kind != proof.Running || len(s.Servers) != 1 || s.File == nil || len(s.Evidence) != 1 || len(s.Resources) != 1 || s.Resources[0].Values != 2 {
		t.Errorf("%+v", s)
	}
	raw, err := s.Encode()
	if err != nil || bytes.Contains(raw, []byte(canary)) {
		t.Errorf("%s, %v", raw, err)
	}
	if again, err := proof.Parse(raw); err != nil || again.Cluster != uid || again.Answered(proof.Key).Answer.Answer != stored.Yes || again.Read.Revision != 77 {
		t.Errorf("%+v, %v", again, err)
	}
}

// Each thing that is not as it should be is a no, or not checked, and never a yes.
func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		change func(cfg *proof.Config, a *api)
		id     string
		want   string
		detail string
	}{
		"in the clear": {func(cfg *proof.Config, _ *api) {
			cfg.Stored = append(cfg.Stored.(values), entry("/registry/secrets/shop/clear", "k8s\x00"+canary, 9))
		}, proof.Encrypted, stored.No, "1 are in the clear"},
		"an old key":               {func(cfg *proof.Config, _ *api) { cfg.Verify.KeyID = "sk2" }, proof.Key, stored.No, "2 of 2"},
		"its plugin too":           {func(cfg *proof.Config, _ *api) { cfg.Verify.KeyID = "sk2" }, proof.Plugins, stored.No, "told another key"},
		"key not told":             {func(cfg *proof.Config, _ *api) { cfg.Verify.KeyID = "" }, proof.Plugins, stored.Yes, "which one it should be was not told"},
		"no provider":              {func(cfg *proof.Config, _ *api) { cfg.Verify.Provider = "" }, proof.Plugins, stored.NotChecked, "was not told"},
		"a local key":              {func(cfg *proof.Config, _ *api) { cfg.Verify.Provider = "aescbc/key1" }, proof.Plugins, stored.NotChecked, "no plugin"},
		"another plugin":           {func(cfg *proof.Config, _ *api) { cfg.Verify.Provider = "other" }, proof.Plugins, stored.NotChecked, "tells no key of other"},
		"a plugin that is gone":    {func(_ *proof.Config, a *api) { a.silent = 6 * time.Minute }, proof.Plugins, stored.NotChecked, "has told its key last at"},
		"another file":             {func(_ *proof.Config, a *api) { a.hash = "sha256:00" }, proof.Configuration, stored.No, "another file in force"},
		"no hash":                  {func(_ *proof.Config, a *api) { a.hash = "" }, proof.Configuration, stored.NotChecked, "tells no hash"},
		"no file":                  {func(cfg *proof.Config, _ *api) { cfg.File = "" }, proof.Configuration, stored.NotChecked, "was not looked at"},
		"a file that is not there": {func(cfg *proof.Config, _ *api) { cfg.File += "x" }, proof.Configuration, stored.NotChecked, "was not looked at"},
		"another etcd":             {func(_ *proof.Config, a *api) { a.version = 72 }, proof.OfCluster, stored.No, "another etcd, or an old copy"},
		"an etcd that is ahead":    {func(_ *proof.Config, a *api) { a.later = 70 }, proof.OfCluster, stored.No, "newer there than the API tells"},
		"not told behind":          {func(_ *proof.Config, a *api) { a.gone = true }, proof.OfCluster, stored.NotChecked, "getting the namespace kube-system"},
		"other servers behind":     {func(_ *proof.Config, a *api) { a.lost = true }, proof.OfCluster, stored.NotChecked, "keep no leases"},
		"no API server":            {func(cfg *proof.Config, _ *api) { cfg.REST = nil }, proof.OfCluster, stored.NotChecked, "no API server was asked"},
		"nor its file":             {func(cfg *proof.Config, _ *api) { cfg.REST = nil }, proof.Configuration, stored.NotChecked, "no API server was asked"},
		"one that is off":          {func(cfg *proof.Config, _ *api) { cfg.REST.Host = "https://127.0.0.1:1" }, proof.Configuration, stored.NotChecked, "refused"},
		"one of two":               {func(cfg *proof.Config, _ *api) { cfg.Servers = []string{cfg.REST.Host, "https://127.0.0.1:1"} }, proof.Configuration, stored.NotChecked, "refused"},
	} {
		cfg, a := config(t)
		c.change(&cfg, a)
		s := make1(t, cfg)
		if got := s.Answered(c.id); got.Answer.Answer != c.want || !strings.Contains(got.Detail, c.detail) {
			t.Errorf("%s: %+v, want %s: %s", name, got, c.want, c.detail)
		}
		if c.want == stored.No && s.Holds() {
			t.Errorf("%s: it holds", name)
		}
		if raw, err := s.Encode(); err != nil || bytes.Contains(raw, []byte(canary)) {
			t.Errorf("%s: %s, %v", name, raw, err)
		}
	}
}

// What is of two clusters, or of none, is no report.
func TestWhichCluster(t *testing.T) {
	cfg, a := config(t)
	a.uid = "99999999-2222-4333-8444-555555555555"
	if _, err := proof.Make(t.Context(), cfg); !errs.Is(err, errs.Conflict) {
		t.Errorf("two clusters: %v", err)
	}
	cfg, _ = config(t)
	cfg.Stored, cfg.REST = values{entry("/registry/secrets/shop/db", sealed, 6)}, nil
	if _, err := proof.Make(t.Context(), cfg); !errs.Is(err, errs.Invalid) {
		t.Errorf("no cluster: %v", err)
	}
	for name, value := range map[string]string{"encrypted": sealed, "damaged": "k8s\x00" + canary, "JSON": `{"kind":"Namespace","metadata":{"uid":"` + uid + `"}}`} {
		cfg, _ = config(t)
		cfg.Stored = values{entry("/registry/namespaces/kube-system", value, 1), entry("/registry/secrets/shop/db", sealed, 6)}
		if s := make1(t, cfg); s.Cluster != uid {
			t.Errorf("%s: cluster %q", name, s.Cluster)
		}
	}
}

// Who writes into etcd cannot keep a report from being made, nor fill it.
func TestBounded(t *testing.T) {
	cfg, _ := config(t)
	all := values{namespace(t, uid)}
	for i := range 3000 {
		id := fmt.Sprintf("%04d", i) + strings.Repeat("\xff\x00", 100)
		all = append(all, entry(fmt.Sprintf("/registry/secrets/shop/%04d%s", i, strings.Repeat("\xfe", 200)), fmt.Sprintf("k8s:enc:kms:v2:other:\x0a\x01d\x12\xcc\x01%s\x1a\x01s", id), 1))
	}
	for i := range 150 {
		all = append(all, entry(fmt.Sprintf("/registry/secrets/a/%d", i), fmt.Sprintf("k8s:enc:aescbc:v1:k%d:x", i), 1))
	}
	all = append(all, entry("/registry/secrets/a/clear", "k8s\x00"+canary, 1))
	cfg.Stored, cfg.Verify.Most = all, 3000
	s := make1(t, cfg)
	raw, err := s.Encode()
	if err != nil || len(raw) > 512<<10 {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
	again, err := proof.Parse(raw)
	if err != nil || again.Found != 3151 || len(again.Findings) == 0 || len(again.Resources[0].Under) != 102 {
		t.Fatalf("%v: %+v", err, again.Resources)
	}
	sum, clear := 0, 0
	for _, g := range again.Resources[0].Under {
		sum += g.Values
		if !proof.Encrypts(g.Provider) {
			clear += g.Values
		}
	}
	if sum != 3151 || clear != 1 {
		t.Errorf("%d values are counted, %d of them in the clear", sum, clear)
	}
}

// switching is a source whose file becomes another one while it is read.
type switching struct {
	stored.Source
	path string
}

func (s switching) Read(ctx context.Context, folders []string, visit func(stored.Entry)) (stored.Origin, error) {
	if err := os.WriteFile(s.path, []byte("another snapshot"), 0o600); err != nil {
		return stored.Origin{}, err
	}
	return s.Source.Read(ctx, folders, visit)
}

// A snapshot's digest is that of what was read.
func TestSnapshot(t *testing.T) {
	cfg, _ := config(t)
	cfg.SnapshotPath = filepath.Join(t.TempDir(), "etcd.db")
	if _, err := proof.Make(t.Context(), cfg); !errs.Is(err, errs.NotExist) {
		t.Errorf("without a file: %v", err)
	}
	if err := os.WriteFile(cfg.SnapshotPath, []byte("snapshot"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := make1(t, cfg)
	if want := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("snapshot"))); s.Evidence[0].SHA256 != want || s.Read.Kind != proof.Snapshot || s.Answered(proof.OfCluster).Answer.Answer != stored.NotChecked {
		t.Errorf("%+v", s)
	}
	cfg.Stored = switching{cfg.Stored, cfg.SnapshotPath}
	if _, err := proof.Make(t.Context(), cfg); !errs.Is(err, errs.Conflict) {
		t.Errorf("changed meanwhile: %v", err)
	}
}

// A reason that is cut within a letter is valid text still.
func TestReasonIsText(t *testing.T) {
	for i := range 4 {
		cfg, _ := config(t)
		cfg.Servers = []string{"http://" + strings.Repeat("x", i) + strings.Repeat("\u20ac", 300)}
		s := make1(t, cfg)
		if _, err := s.Encode(); err != nil || !strings.Contains(s.Answered(proof.Configuration).Detail, "\u20ac") {
			t.Errorf("%v: %q", err, s.Answered(proof.Configuration).Detail)
		}
	}
}

// The digest tells apart what was read, and says nothing of a value.
func TestDigest(t *testing.T) {
	digest := func(e ...stored.Entry) string {
		cfg, _ := config(t)
		cfg.Stored = append(values{namespace(t, uid)}, e...)
		return make1(t, cfg).Evidence[0].SHA256
	}
	one := digest(entry("/registry/secrets/a/b", "k8s\x00one", 5))
	if one != digest(entry("/registry/secrets/a/b", "k8s\x00"+canary, 5)) {
		t.Error("it is another with another value")
	}
	for name, e := range map[string]stored.Entry{
		"key": entry("/registry/secrets/a/c", "k8s\x00one", 5), "revision": entry("/registry/secrets/a/b", "k8s\x00one", 6), "provider": entry("/registry/secrets/a/b", sealed, 5),
	} {
		if digest(e) == one {
			t.Errorf("it is the same with another %s", name)
		}
	}
	if one != digest(entry("/registry/leases/kube-system/x", "k8s\x00", 9), entry("/registry/secrets/a/b", "k8s\x00one", 5)) {
		t.Error("a lease that was renewed changes it")
	}
}

func FuzzParse(f *testing.F) {
	cfg, _ := config(f)
	raw, err := make1(f, cfg).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"schema":"strongkeep.io/encryption-report/v2"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := proof.Parse(raw)
		if err != nil {
			if k := errs.KindOf(err); k != errs.Invalid && k != errs.Unsupported {
				t.Errorf("%v", err)
			}
			return
		}
		if _, err := s.Encode(); err != nil && errs.KindOf(err) != errs.TooLarge {
			t.Errorf("what was parsed does not encode: %v", err)
		}
	})
}

func TestParse(t *testing.T) {
	for text, kind := range map[string]errs.Kind{
		`{"schema":"strongkeep.io/encryption-report/v2"}`: errs.Unsupported,
		`{"turn":2}`: errs.Invalid,
		`{"schema":"strongkeep.io/encryption-report/v1"}`: errs.Invalid,
	} {
		if _, err := proof.Parse([]byte(text)); errs.KindOf(err) != kind {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A clock that goes back is told.
func TestBehind(t *testing.T) {
	cfg, _ := config(t)
	s := make1(t, cfg)
	s.Behind(s.Time.Add(-time.Second))
	if len(s.Notes) != 0 {
		t.Errorf("%v", s.Notes)
	}
	s.Behind(s.Time.Add(time.Second))
	if len(s.Notes) != 1 || len(proof.Doubts([]proof.Signed{{Report: s}})) != 1 {
		t.Errorf("%v", s.Notes)
	}
}
