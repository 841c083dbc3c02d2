package rescue

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/meter"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
	"github.com/strongkeep/strongkeep/internal/testenv/etcdtest"
)

// cluster answers as an API server whose Secrets do not decrypt. What the real one does
// is tested in test/encryption; this one changes its mind at the worst moment.
type cluster struct {
	*httptest.Server
	gate    func() bool               // it deletes what it cannot read
	may     func(verb string) bool    // who asks
	reads   func(request string) bool // it reads the objects now, when asked so
	newer   bool                      // it is of Kubernetes 1.37
	refusal metav1.Status             // of a GET
	leases  []coordinationv1.Lease
	mu      sync.Mutex
	deleted []string // guarded by mu
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{gate: func() bool { return true }, may: func(string) bool { return true }, reads: func(string) bool { return false }}
	c.refusal = metav1.Status{Code: 500, Reason: metav1.StatusReasonInternalError, Message: "Internal error occurred: " + canary}
	c.leases = []coordinationv1.Lease{lease("server-a")}
	c.Server = httptest.NewTLSServer(http.HandlerFunc(c.serve))
	t.Cleanup(c.Close)
	return c
}

// lease is one that lives, as old as etcd.
func lease(name string) coordinationv1.Lease {
	return coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: "1"}}
}

// config reaches it, and any other.
func (c *cluster) config() *rest.Config {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw})
	return &rest.Config{Host: c.URL, TLSClientConfig: rest.TLSClientConfig{CAData: ca}, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}
}

func (c *cluster) serve(w http.ResponseWriter, r *http.Request) {
	answer := func(code int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(body)
	}
	refuse := func(s metav1.Status) {
		s.TypeMeta, s.Status = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, "Failure"
		answer(int(s.Code), s)
	}
	status := func(code int, reason metav1.StatusReason) {
		refuse(metav1.Status{Code: int32(code), Reason: reason, Message: canary})
	}
	object := func() {
		answer(200, map[string]any{"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": map[string]any{"name": "x"}})
	}
	switch path := r.URL.Path; {
	case path == "/api":
		answer(200, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	case path == "/apis":
		answer(200, metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}})
	case path == "/api/v1":
		answer(200, metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: "v1", APIResources: []metav1.APIResource{
			{Name: "secrets", SingularName: "secret", Namespaced: true, Kind: "Secret", Verbs: []string{"get", "list", "delete"}},
		}})
	case path == "/metrics":
		w.Header().Set("Content-Type", "text/plain")
		_, _ = fmt.Fprintf(w, "apiserver_encryption_config_controller_last_config_info{apiserver_id_hash=%q,hash=\"sha256:cc\"} 1\n", meter.HashOf("server-a"))
	case strings.HasSuffix(path, "/leases"):
		answer(200, coordinationv1.LeaseList{TypeMeta: metav1.TypeMeta{APIVersion: "coordination.k8s.io/v1", Kind: "LeaseList"}, Items: c.leases})
	case strings.HasSuffix(path, "/selfsubjectaccessreviews"):
		var review map[string]any
		_ = json.NewDecoder(r.Body).Decode(&review)
		verb := review["spec"].(map[string]any)["resourceAttributes"].(map[string]any)["verb"].(string)
		review["status"] = map[string]any{"allowed": c.may(verb)}
		answer(201, review)
	case r.Method == http.MethodDelete:
		var options metav1.DeleteOptions
		_ = json.NewDecoder(r.Body).Decode(&options)
		asked, dry, gate := options.IgnoreStoreReadErrorWithClusterBreakingPotential, len(options.DryRun) > 0, c.gate()
		ignores := gate && asked != nil && *asked
		switch {
		case ignores && (options.PropagationPolicy != nil || dry && !c.newer || !c.newer && c.reads("DELETE")):
			status(422, metav1.StatusReasonInvalid)
		case ignores && c.reads("DELETE"):
			status(409, metav1.StatusReasonConflict)
		case !gate && !c.reads("DELETE"):
			status(500, metav1.StatusReasonInternalError)
		default:
			if !dry {
				c.mu.Lock()
				c.deleted = append(c.deleted, path)
				c.mu.Unlock()
			}
			object()
		}
	case c.reads("GET"):
		object()
	default:
		refuse(c.refusal)
	}
}

// Nothing is deleted that is not lost at that very moment, and nothing without a copy.
func TestRemove(t *testing.T) {
	whole := t
	mine, other := startPlugin(t), startPlugin(t)
	s := etcdtest.Start(t, etcdtest.Options{TLS: true})
	etcd, err := stored.Dial(stored.EtcdConfig{Endpoints: []string{s.Endpoint}, CAFile: s.CAFile, CertFile: s.Client.Cert, KeyFile: s.Client.Key})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = etcd.Close() }()
	client := s.Dial(t)
	write := func(client *clientv3.Client, key, value string) {
		t.Helper()
		if _, err := client.Put(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(client *clientv3.Client, key string) {
		if _, err := client.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	no, asks := func() bool { return false }, 0
	once := func() bool { asks++; return asks == 1 }
	get := func(request string) bool { return request == "GET" }
	last := func(request string) bool { return request == "DELETE" }
	id, err := other.client(t).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lost := other.seal(t, "strongkeep", at("lost"), secret(t, "a", "lost", canary))
	write(client, "/registry/leases/kube-system/server-a", "k8s\x00")
	write(client, "/registry/leases/kube-system/server-b", "k8s\x00")
	for name, c := range map[string]struct {
		between func(*cluster) // Find and Remove
		want    string         // why it is left; "" is deleted
		kind    errs.Kind      // of the error
	}{
		"lost":               {func(*cluster) {}, "", 0},
		"written meanwhile":  {func(*cluster) { write(client, at("lost"), lost) }, "it was written meanwhile", 0},
		"deleted meanwhile":  {func(*cluster) { remove(client, at("lost")) }, "it is not in etcd any more", 0},
		"read meanwhile":     {func(c *cluster) { c.reads = get }, "reads it", 0},
		"read at the last":   {func(c *cluster) { c.reads = last }, "the API server reads it now", 0},
		"plugin away":        {func(*cluster) { mine.stop() }, "the plugin", 0},
		"no gate":            {func(c *cluster) { c.gate = no }, "", errs.Unsupported},
		"no gate, and reads": {func(c *cluster) { c.gate, c.reads = no, last }, "", errs.Unsupported},
		"no gate behind it":  {func(c *cluster) { c.gate, c.reads = once, last }, "", errs.Unsupported},
		"no right":           {func(c *cluster) { c.may = func(verb string) bool { return verb == "delete" } }, "", errs.Denied},
		"1.37":               {func(c *cluster) { c.newer = true }, "", 0},
		"1.37, and reads":    {func(c *cluster) { c.newer, c.reads = true, last }, "the API server reads it now", 0},
		"1.37, no gate":      {func(c *cluster) { c.newer, c.gate = true, no }, "", errs.Unsupported},
		"1.37, neither":      {func(c *cluster) { c.newer, c.gate, c.reads = true, no, last }, "", errs.Unsupported},
		"fails otherwise":    {func(c *cluster) { c.refusal = metav1.Status{Code: 500, Message: canary} }, "does not say whether it reads it", 0},
		"another's etcd":     {func(c *cluster) { c.leases[0].ResourceVersion = "1000000" }, "", errs.Conflict},
		"nobody's etcd":      {func(c *cluster) { c.leases[0].Name = "server-c" }, "", errs.Conflict},
		"no leases":          {func(c *cluster) { c.leases = nil }, "", errs.Conflict},
		"another API server": {func(c *cluster) { c.leases = append(c.leases, lease("server-b")) }, "", errs.Conflict},
		"none lives, said":   {func(c *cluster) { c.leases[0] = expired("server-a") }, "", 0},
		"none lives":         {func(c *cluster) { c.leases[0] = expired("server-a") }, "", errs.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			api := newCluster(t)
			asks = 0
			write(client, at("lost"), lost)
			servers, err := Connect(api.config(), nil)
			if err != nil {
				t.Fatal(err)
			}
			cfg := Config{From: etcd, Resources: []string{"secrets"}, Keys: keys(t, kmsProvider("strongkeep", mine)), Servers: servers, Gone: []string{id.GetKeyId()}}
			cfg.TheseAreAll = name == "none lives, said"
			all := find(t, cfg).Deletable()
			if len(all) != 1 {
				t.Fatalf("%d are deletable", len(all))
			}
			c.between(api)
			path := filepath.Join(t.TempDir(), "copy.db")
			done, err := Remove(t.Context(), cfg, all, path)
			_, copied := os.Stat(path)
			if (c.kind == 0) != (err == nil) || err != nil && (errs.KindOf(err) != c.kind || strings.Contains(err.Error(), canary)) || (err == nil || asks > 0) != (copied == nil) {
				t.Fatalf("error %v, copy: %v", err, copied)
			}
			switch {
			case err != nil || c.want != "":
				if len(api.deleted) != 0 || len(done.Deleted) != 0 || err == nil && (len(done.Left) != 1 || !strings.Contains(done.Left[0].Why, c.want)) {
					t.Errorf("deleted %v, %+v", api.deleted, done)
				}
			case len(api.deleted) != 1 || len(done.Deleted) != 1 || len(done.Left) != 0:
				t.Errorf("deleted %v, %+v", api.deleted, done)
			}
			if name == "plugin away" {
				mine.start(whole)
			}
			if name == "lost" { // and its key is back
				back := find(t, Config{From: stored.Snapshot{Path: path}, Keys: keys(t, kmsProvider("strongkeep", other)), Readable: true})
				if text, n, _ := Manifest(back.Readable); n != 1 || !strings.Contains(text.RevealString(), base64.StdEncoding.EncodeToString([]byte(canary))) {
					t.Errorf("%d restored of the copy", n)
				}
			}
		})
	}
}

// What this node's plugin or file lacks, others may have: it is deletable when people say
// that it is gone, by its key id or its provider, and when the key is there and does not open it.
func TestDeletable(t *testing.T) {
	mine, other := startPlugin(t), startPlugin(t)
	id, err := other.client(t).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	from := snapshot(t, 2, every(t, mine, other)...)
	providers := []string{kmsProvider("strongkeep", mine), "identity: {}", localProvider("aescbc", "one", key1), localProvider("aesgcm", "one", key1), localProvider("secretbox", "one", key1)}
	for name, c := range map[string]struct {
		gone []string
		want string
	}{
		"not said":           {nil, "flipped garbage local-key moved nothing nothing-below "},
		"said of a key":      {[]string{id.GetKeyId()}, "flipped garbage gone local-key moved nothing nothing-below "},
		"said of a provider": {[]string{"aescbc/two", "kms-v2/another"}, "flipped garbage local-key local-name moved nothing nothing-below renamed "},
	} {
		got := ""
		for _, f := range find(t, Config{From: from, Keys: keys(t, providers...), Gone: c.gone}).Deletable() {
			got += strings.TrimPrefix(f.Name, "a/") + " "
		}
		if got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Whose failure is not about the object, of that it is not clear whether it reads it.
func TestUndecrypted(t *testing.T) {
	status := func(s metav1.Status) error { return &apierrors.StatusError{ErrStatus: s} }
	page := apierrors.NewGenericServerResponse(500, "GET", schema.GroupResource{Resource: "secrets"}, "x", "Internal error occurred: of a proxy", 0, true)
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"transform":      {apierrors.NewInternalError(errors.New("no matching prefix found")), true},
		"store":          {status(metav1.Status{Code: 500, Reason: metav1.StatusReasonStoreReadError}), true},
		"etcd":           {status(metav1.Status{Code: 500, Message: "etcdserver: request timed out"}), false},
		"page":           {page, false},
		"another reason": {status(metav1.Status{Code: 500, Reason: metav1.StatusReasonServerTimeout, Message: "Internal error occurred: "}), false},
		"no answer":      {errors.New("refused"), false},
	} {
		if got := undecrypted(fmt.Errorf("asking: %w", c.err)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// expired is a lease that nobody has renewed.
func expired(name string) coordinationv1.Lease {
	l, seconds, at := lease(name), int32(1), metav1.NewMicroTime(time.Unix(1, 0))
	l.Spec.LeaseDurationSeconds, l.Spec.RenewTime = &seconds, &at
	return l
}

// What is deletable is not what an API server reads that was asked.
func TestReaders(t *testing.T) {
	mine, other := startPlugin(t), startPlugin(t)
	api, second := newCluster(t), newCluster(t)
	second.reads = func(string) bool { return true }
	servers, err := Connect(api.config(), []string{api.URL, second.URL})
	if err != nil {
		t.Fatal(err)
	}
	r := find(t, Config{
		From: snapshot(t, 2, at("lost"), other.seal(t, "strongkeep", at("lost"), secret(t, "a", "lost", canary))),
		Keys: keys(t, kmsProvider("strongkeep", mine)), Servers: servers,
	})
	if len(r.Lost) != 1 || len(r.Deletable()) != 0 || len(r.Lost[0].Readers) != 1 || r.Lost[0].Readers[0] != second.URL || !strings.Contains(r.Lost[0].Do[0], second.URL) {
		t.Errorf("%+v", r.Lost)
	}
}

func statusError(message, field string, reason metav1.StatusReason) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Message: message, Reason: reason, Code: 500, Details: &metav1.StatusDetails{
		Causes: []metav1.StatusCause{{Type: metav1.CauseTypeUnexpectedServerResponse, Field: field}, {Type: metav1.CauseTypeTooMany}},
	}}}
}

// FuzzUnreadable gives what an API server may answer.
func FuzzUnreadable(f *testing.F) {
	f.Add(`Internal error occurred: unable to transform key "/registry/secrets/a/b": no`, "/registry/secrets/a/c", true)
	f.Add(`unable to transform key "`, "b", false)
	f.Fuzz(func(t *testing.T, message, field string, namespaced bool) {
		for _, reason := range []metav1.StatusReason{metav1.StatusReasonInternalError, metav1.StatusReasonStoreReadError} {
			for _, name := range unreadable(statusError(message, field, reason), namespaced) {
				if name == "" || namespaced != (strings.Count(name, "/") == 1) {
					t.Errorf("%q", name)
				}
			}
		}
	})
}

// What is confirmed is these objects, as they were.
func TestConfirmation(t *testing.T) {
	one := Finding{Object: stored.Object{Resource: "secrets", Name: "a/one"}, Revision: 2}
	two, later := one, one
	two.Name, later.Revision = "a/two", 3
	seen := map[string]bool{}
	for _, all := range [][]Finding{{one}, {two}, {later}, {one, two}, {later, two}} {
		said := Confirmation(all)
		if seen[said] || !strings.HasPrefix(said, fmt.Sprint(len(all), "-")) || said != Confirmation(all) {
			t.Errorf("%d objects: %s", len(all), said)
		}
		seen[said] = true
	}
}
