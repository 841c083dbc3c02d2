package turn

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/kms"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/meter"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/rewrite"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

const canary = "canary-value-e1d9"

// sealed is a value as an API server stores it.
func sealed(provider, keyID string) string {
	var b []byte
	for number, content := range []string{1: canary, 2: keyID, 3: "source"} {
		if number > 0 {
			b = protowire.AppendTag(b, protowire.Number(number), protowire.BytesType)
			b = protowire.AppendString(b, content)
		}
	}
	return "k8s:enc:kms:v2:" + provider + ":" + string(b)
}

// server stands in for an API server as it is with a plugin: it asks each minute, and
// writes with the seed that it has.
type server struct {
	url, id, hash string
	offset        time.Duration        // of the minute, when it asks
	told          map[string]time.Time // key ids that its plugin told, and when last
	seed          string               // key id that it writes under
	stuck         bool                 // its plugin encrypts nothing: the seed of before stays for three minutes
	reloaded      time.Time
	mute          bool // it tells nothing of its plugin
}

// cluster is one in a time of its own.
type cluster struct {
	*testing.T
	cfg  Config
	path string // of the key file

	mu       sync.Mutex
	now      time.Time
	servers  []*server
	values   map[string]string // of etcd
	versions int               // that were made on demand
	written  int
}

// turner is a key file that is turned as a vault's key is.
type turner struct {
	*file.Key
	c *cluster
}

func (k turner) Turn(context.Context) error {
	k.c.mu.Lock()
	defer k.c.mu.Unlock()
	k.c.versions++
	return file.Add(k.c.path, k.c.now)
}

// newCluster has two API servers that write under the only version of a key, and values.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{T: t, path: filepath.Join(t.TempDir(), "key"), now: time.Now().Truncate(time.Minute), values: map[string]string{}}
	key, err := file.Generate(c.path)
	if err != nil {
		t.Fatal(err)
	}
	c.cfg = Config{Store: turner{key, c}, Resources: []string{"secrets"}, Stored: c, REST: &rest.Config{}}
	if c.cfg.Plugin, err = kms.New(kms.Config{Name: "cluster", Key: key, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	c.cfg.every = func() (<-chan time.Time, func()) {
		stop, tick := make(chan struct{}), make(chan time.Time)
		var ended sync.WaitGroup
		ended.Go(func() {
			for {
				select {
				case <-stop:
					return
				case tick <- time.Time{}:
					c.pass(30 * time.Second)
				}
			}
		})
		return tick, func() { close(stop); ended.Wait() }
	}
	c.cfg.rewrite, c.cfg.step = c.rewrite, func(string) {}
	for i := range 2 {
		c.add(&server{id: fmt.Sprintf("server-%d", i), hash: "sha256:cc", offset: time.Duration(i) * 30 * time.Second})
	}
	c.pass(10 * time.Minute)
	return c
}

func (c *cluster) add(s *server) {
	s.told = map[string]time.Time{}
	h := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.serve(s, w, r) }))
	c.Cleanup(h.Close)
	s.url = h.URL
	c.cfg.REST.CAData = append(c.cfg.REST.CAData, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})...)
	c.cfg.REST.Host = h.URL
	c.cfg.Servers = append(c.cfg.Servers, h.URL)
	c.servers = append(c.servers, s)
	c.values["/registry/leases/kube-system/"+s.id] = "k8s\x00"
}

func (c *cluster) serve(s *server, w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Date", c.now.UTC().Format(http.TimeFormat))
	if strings.HasSuffix(r.URL.Path, "/leases") {
		list := coordinationv1.LeaseList{TypeMeta: metav1.TypeMeta{APIVersion: "coordination.k8s.io/v1", Kind: "LeaseList"}}
		for _, one := range c.servers {
			list.Items = append(list.Items, coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: one.id, ResourceVersion: "7"}})
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(list)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	const controller = "apiserver_encryption_config_controller_"
	_, _ = fmt.Fprintf(w, "%slast_config_info{apiserver_id_hash=%q,hash=%q} 1\n", controller, meter.HashOf(s.id), s.hash)
	if !s.reloaded.IsZero() {
		_, _ = fmt.Fprintf(w, "%sautomatic_reload_last_timestamp_seconds{status=\"success\"} %d\n", controller, s.reloaded.Unix())
	}
	for id, at := range s.told {
		if !s.mute {
			_, _ = fmt.Fprintf(w, "apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds{key_id_hash=%q,provider_name=\"strongkeep\"} %d\n", meter.HashOf(id), at.Unix())
		}
	}
}

// known are the versions that the key store has now.
func (c *cluster) known() []kms.Known {
	h, err := c.cfg.Store.History(context.Background())
	if err != nil {
		c.Error(err)
		return nil
	}
	return c.cfg.Plugin.Versions(h)
}

// pass lets time go by: API servers ask their plugins, and write.
func (c *cluster) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.known()
	for range int(d / (10 * time.Second)) {
		c.now = c.now.Add(10 * time.Second)
		for _, s := range c.servers {
			s.ask(c.now, known)
			c.write(s, fmt.Sprintf("/registry/secrets/a/%s-%d", s.id, c.written))
		}
	}
}

func (s *server) ask(now time.Time, known []kms.Known) {
	if now.Sub(now.Truncate(time.Minute)) != s.offset {
		return
	}
	active := ""
	for _, v := range known {
		if !now.Before(v.Active) {
			active = v.KeyID
		}
	}
	s.told[active] = now
	if !s.stuck || s.seed == "" {
		s.seed = active
	}
}

// write has an API server write a value, if it has a seed that is good.
func (c *cluster) write(s *server, key string) {
	if s.seed == "" || c.now.Sub(s.told[s.seed]) >= 3*time.Minute {
		return
	}
	c.written++
	c.values[key] = sealed("strongkeep", s.seed)
}

// rewrite has the first API server write what is not under its key.
func (c *cluster) rewrite(_ context.Context, cfg rewrite.Config) (*rewrite.Report, error) {
	for i, key := range c.keys() {
		if i%40 == 7 {
			c.cfg.step("while rewriting")
		}
		c.mu.Lock()
		for _, r := range cfg.Resources {
			if strings.HasPrefix(key, "/registry/"+r+"/") {
				c.write(c.servers[0], key)
			}
		}
		c.mu.Unlock()
	}
	return &rewrite.Report{Resources: cfg.Resources}, nil
}

func (c *cluster) keys() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for k := range maps.Keys(c.values) {
		all = append(all, k)
	}
	return all
}

// Read implements stored.Source.
func (c *cluster) Read(_ context.Context, folders []string, visit func(stored.Entry)) (stored.Origin, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, value := range c.values {
		for _, f := range folders {
			if strings.HasPrefix(key, f) {
				visit(stored.Entry{Key: []byte(key), Value: []byte(value), Revision: 7})
			}
		}
	}
	return stored.Origin{Source: "etcd", Revision: 7, Instants: 1}, nil
}

// under counts values of etcd under a key id.
func (c *cluster) under(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, v := range c.values {
		if stored.Parse([]byte(v)).KeyID == id {
			n++
		}
	}
	return n
}

// turn makes another version, and lets nobody see it yet.
func (c *cluster) turn() kms.Known {
	c.Helper()
	if err := c.cfg.Store.(keystore.Turner).Turn(c.Context()); err != nil {
		c.Fatal(err)
	}
	known := c.known()
	return known[len(known)-1]
}
