package testenv_test

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/etcdtest"
)

// link is a way to an etcd that can be stalled: what is under way waits, and nobody is told.
type link struct {
	sync.RWMutex // held for writing, nothing passes
	endpoint     string
}

func newLink(t *testing.T, endpoint string) *link {
	t.Helper()
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{endpoint: "http://" + at.Addr().String()}
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	t.Cleanup(func() { _ = at.Close() })
	running.Go(func() {
		for {
			in, err := at.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "http://"))
			if err != nil {
				_ = in.Close()
				continue
			}
			running.Go(func() { l.carry(in, out) })
			running.Go(func() { l.carry(out, in) })
		}
	})
	return l
}

func (l *link) carry(from, to net.Conn) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		l.RLock()
		_, writeErr := to.Write(buffer[:n])
		l.RUnlock()
		if err != nil || writeErr != nil {
			return
		}
	}
}

// A node whose way to etcd is stalled shows nothing that another node has replaced more than a second ago,
// as long as it lasts (seed 132 of test/chaos).
func TestStalledNodeShowsNothingOld(t *testing.T) {
	on, prefix := etcdtest.Shared(t), etcdtest.Prefix()
	way := newLink(t, on.Endpoint)
	at := func(name, endpoint, timeout string) func(*app.ServerConfig) {
		return func(c *app.ServerConfig) {
			c.Storage, c.SharedStore, c.NodeName = "etcd", true, name
			c.EtcdEndpoints, c.EtcdPrefix, c.EtcdTimeout = []string{endpoint}, prefix, timeout
		}
	}
	one := testenv.Start(t, at("one", on.Endpoint, "20s"))
	two := testenv.New(t, at("two", way.endpoint, "2s"))
	two.Root, two.Shares = one.Root, one.Shares
	two.Client.SetToken(two.Root)
	two.Unseal()
	if err := one.Sys().Mount("kv/", &vault.MountInput{Type: "kv"}); err != nil {
		t.Fatal(err)
	}
	write := func(value string) {
		t.Helper()
		eventually(t, "a write", func() bool {
			_, err := one.Logical().Write("kv/x", map[string]any{"v": value})
			return err == nil
		})
	}
	shows := func(value string) bool { return strings.Contains(two.HTTP(http.MethodGet, "kv/x", nil).Body, value) }
	write("replaced")
	eventually(t, "the second node shows it", func() bool { return shows("replaced") })

	way.Lock()
	write("newer")
	written := time.Now()
	silent := false
	for end := written.Add(8 * time.Second); !silent && time.Now().Before(end); {
		asked := time.Now()
		a := two.HTTP(http.MethodGet, "kv/x", nil)
		if late := asked.Sub(written); late > time.Second && strings.Contains(a.Body, "replaced") {
			t.Errorf("asked %v after it was replaced, it shows it", late)
			break
		}
		silent = a.Status == http.StatusServiceUnavailable && strings.Contains(a.Body, "lost touch")
	}
	way.Unlock()
	eventually(t, "the second node shows the newer one", func() bool { return shows("newer") })
}
