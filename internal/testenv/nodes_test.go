package testenv_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/etcdtest"
)

// nodes are two servers on one etcd, both unsealed.
func nodes(t *testing.T) (one, two *testenv.Vault) {
	t.Helper()
	all := nodesOn(t, etcdtest.Shared(t), "one", "two")
	return all[0], all[1]
}

// nodesOn are servers on one prefix of an etcd, all unsealed.
func nodesOn(t *testing.T, on *etcdtest.Server, names ...string) []*testenv.Vault {
	t.Helper()
	prefix := etcdtest.Prefix()
	share := func(name string) func(*app.ServerConfig) {
		return func(c *app.ServerConfig) {
			c.Storage, c.SharedStore, c.NodeName = "etcd", true, name
			c.EtcdEndpoints, c.EtcdPrefix = []string{on.Endpoint}, prefix
		}
	}
	all := []*testenv.Vault{testenv.Start(t, share(names[0]))}
	for _, name := range names[1:] {
		v := testenv.New(t, share(name))
		v.Root, v.Shares = all[0].Root, all[0].Shares
		v.Client.SetToken(v.Root)
		v.Unseal()
		all = append(all, v)
	}
	for _, v := range all {
		v.SetMaxRetries(5)
		v.SetCheckRetry(whenDeaf)
	}
	return all
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); {
		if time.Now().After(end) {
			t.Fatal("not within a minute: ", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// Both nodes serve reads and writes, and a client of the official library that wants to read
// what it wrote does, whichever it asks.
func TestTwoNodes(t *testing.T) {
	one, two := nodes(t)
	if err := one.Sys().Mount("kv/", &vault.MountInput{Type: "kv", Options: map[string]string{"version": "2"}}); err != nil {
		t.Fatal(err)
	}
	cfg := one.Client.CloneConfig()
	cfg.ReadYourWrites = true
	cfg.MaxRetries, cfg.CheckRetry = 5, whenDeaf
	trusting(t, cfg, one, two)
	there, err := vault.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	there.SetToken(one.Root)
	for i := range 50 {
		ask := []*testenv.Vault{one, two}
		write, read := ask[i%2], ask[(i+1)%2]
		if err := there.SetAddress(write.Server.URL()); err != nil {
			t.Fatal(err)
		}
		if _, err := there.KVv2("kv").Put(t.Context(), "x", map[string]any{"n": i}); err != nil {
			t.Fatalf("write %d: %v", i, err)
		}
		if err := there.SetAddress(read.Server.URL()); err != nil {
			t.Fatal(err)
		}
		s, err := there.KVv2("kv").Get(t.Context(), "x")
		if err != nil || s.VersionMetadata.Version != i+1 {
			t.Fatalf("read %d on the other node: %+v, %v", i, s, err)
		}
	}
	a := two.HTTP(http.MethodGet, "kv/data/x", nil, "X-Vault-Index", "nonsense")
	if a.Status != http.StatusBadRequest || !strings.Contains(a.Body, "X-Vault-Index") {
		t.Error(a)
	}
}

// whenDeaf has a client ask again where a node has heard nothing of etcd for a moment, as happens where the
// machine is busy, and only there.
func whenDeaf(_ context.Context, a *http.Response, _ error) (bool, error) {
	return a != nil && a.StatusCode == http.StatusServiceUnavailable, nil
}

// trusting has the clients of cfg take the certificates of both servers, each of a CA of its own.
func trusting(t *testing.T, cfg *vault.Config, all ...*testenv.Vault) {
	t.Helper()
	pool := x509.NewCertPool()
	for _, v := range all {
		ca, err := os.ReadFile(v.Server.CAFile())
		if err != nil || !pool.AppendCertsFromPEM(ca) {
			t.Fatal("the CA of a server:", err)
		}
	}
	cfg.HttpClient = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	t.Cleanup(cfg.HttpClient.CloseIdleConnections)
}

// What one node changes holds on the other: mounts, policies, tokens that are revoked,
// audit devices.
func TestNodesFollow(t *testing.T) {
	one, two := nodes(t)
	token := one.Policy("reader", `path "kv/*" { capabilities = ["read", "create", "update"] }`)
	if err := one.Sys().Mount("kv/", &vault.MountInput{Type: "kv"}); err != nil {
		t.Fatal(err)
	}
	other := two.NewClient(token)
	eventually(t, "a mount, a policy and a token of the first node hold on the second", func() bool {
		_, err := other.Logical().Write("kv/x", map[string]any{"v": "1"})
		return err == nil
	})
	if err := one.Auth().Token().RevokeTree(token); err != nil {
		t.Fatal(err)
	}
	revoked := time.Now()
	for {
		asked := time.Now()
		_, err := other.Logical().Read("kv/x")
		if err != nil {
			r := (*vault.ResponseError)(nil)
			if !errors.As(err, &r) || r.StatusCode != http.StatusForbidden && r.StatusCode != http.StatusServiceUnavailable {
				t.Error("not refused but:", err)
			}
			if r == nil || r.StatusCode == http.StatusForbidden {
				break
			}
		}
		if late := asked.Sub(revoked); late > 10*time.Second { // what is promised is a second; this machine may be busy
			t.Fatalf("a token is taken %v after it was revoked", late)
		}
	}
	if err := one.Sys().Unmount("kv/"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a mount that was removed is not served", func() bool {
		return two.HTTP(http.MethodGet, "kv/x", nil).Status == http.StatusNotFound
	})
	if _, err := one.Logical().Write("sys/rotate", nil); err != nil {
		t.Fatal("a new key of the keyring:", err)
	}
	if _, err := one.Logical().Write("cubbyhole/under-the-new-key", map[string]any{"v": "1"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other node opens what is under the new key", func() bool {
		s, err := two.Logical().Read("cubbyhole/under-the-new-key")
		return err == nil && s != nil && s.Data["v"] == "1"
	})
}

// One node does the background work, any tells which, and it can be left to the other: by
// stepping down, and by the node's end.
func TestNodesLead(t *testing.T) {
	one, two := nodes(t)
	leader := func(v *testenv.Vault) *vault.LeaderResponse {
		l, err := v.Sys().Leader()
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	eventually(t, "both know the first node as leader", func() bool {
		return leader(one).IsSelf && leader(two).HAEnabled && !leader(two).IsSelf && leader(two).LeaderAddress == one.Server.URL()
	})
	eventually(t, "both nodes are listed", func() bool {
		ha, err := two.Sys().HAStatus()
		if err != nil {
			t.Fatal(err)
		}
		return len(ha.Nodes) == 2 && ha.Nodes[0].Hostname == "one" && ha.Nodes[0].ActiveNode && ha.Nodes[0].LastEcho != nil && !ha.Nodes[1].ActiveNode
	})
	if err := two.Sys().StepDown(); err != nil { // any may be asked
		t.Fatal(err)
	}
	eventually(t, "the second node leads", func() bool { return leader(two).IsSelf && !leader(one).IsSelf })

	short, err := one.Auth().Token().Create(&vault.TokenCreateRequest{TTL: "2s", Policies: []string{"default"}})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "what is due ends, whoever made it", func() bool {
		_, err := one.Auth().Token().LookupAccessor(short.Auth.Accessor)
		return err != nil
	})
	if err := two.Server.Gate().Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first node leads again", func() bool { return leader(one).IsSelf })
	if _, err := one.Logical().WriteWithContext(context.Background(), "cubbyhole/x", map[string]any{"v": "1"}); err != nil {
		t.Error(err)
	}
}

// Three nodes: a token revoked on one is refused by the others; what is written through one is read
// through any other by a client that brings the state it was given; the leader's end costs nothing
// that was acknowledged.
func TestThreeNodes(t *testing.T) {
	all := nodesOn(t, etcdtest.Shared(t), "one", "two", "three")
	one := all[0]
	if err := one.Sys().Mount("kv/", &vault.MountInput{Type: "kv"}); err != nil {
		t.Fatal(err)
	}
	clients := make([]*vault.Client, len(all))
	for i, v := range all {
		cfg := v.CloneConfig()
		cfg.ReadYourWrites = false
		cfg.MaxRetries, cfg.CheckRetry = 5, whenDeaf
		trusting(t, cfg, v)
		var err error
		if clients[i], err = vault.NewClient(cfg); err != nil {
			t.Fatal(err)
		}
		clients[i].SetToken(one.Root)
	}
	for i := range 30 {
		var state string
		write, read := clients[i%3], clients[(i+1)%3]
		if _, err := write.WithResponseCallbacks(vault.RecordState(&state)).Logical().Write("kv/x", map[string]any{"n": fmt.Sprint(i)}); err != nil {
			t.Fatalf("write %d: %v", i, err)
		}
		s, err := read.WithRequestCallbacks(vault.RequireState(state)).Logical().Read("kv/x")
		if err != nil || s == nil || s.Data["n"] != fmt.Sprint(i) {
			t.Fatalf("read %d behind %q: %+v, %v", i, state, s, err)
		}
	}

	token := one.Policy("reader", `path "kv/*" { capabilities = ["read"] }`)
	others := []*vault.Client{all[1].NewClient(token), all[2].NewClient(token)}
	for _, c := range others {
		eventually(t, "the token is good on each node", func() bool {
			_, err := c.Logical().Read("kv/x")
			return err == nil
		})
	}
	if err := one.Auth().Token().RevokeTree(token); err != nil {
		t.Fatal(err)
	}
	for _, c := range others {
		eventually(t, "the token is refused on each node", func() bool {
			_, err := c.Logical().Read("kv/x")
			r := (*vault.ResponseError)(nil)
			if err != nil && (!errors.As(err, &r) || r.StatusCode != http.StatusForbidden && r.StatusCode != http.StatusServiceUnavailable) {
				t.Fatal("not refused but:", err)
			}
			return err != nil && r.StatusCode == http.StatusForbidden
		})
	}

	if err := one.Server.Gate().Close(); err != nil {
		t.Fatal(err)
	}
	for i, v := range all[1:] {
		if s, err := v.Logical().Read("kv/x"); err != nil || s == nil || s.Data["n"] != "29" {
			t.Errorf("node %d: %+v, %v", i+2, s, err)
		}
		if _, err := v.Logical().Write("kv/x", map[string]any{"n": "29"}); err != nil {
			t.Errorf("node %d: %v", i+2, err)
		}
	}
	eventually(t, "another leads", func() bool {
		l, err := all[1].Sys().Leader()
		return err == nil && (l.LeaderAddress == all[1].Server.URL() || l.LeaderAddress == all[2].Server.URL())
	})
}

// Nodes whose etcd hangs say that they cannot be asked, and serve again by themselves.
func TestNodesWithoutEtcd(t *testing.T) {
	on := etcdtest.Start(t, etcdtest.Options{})
	all := nodesOn(t, on, "one", "two")
	if err := all[0].Sys().Mount("kv/", &vault.MountInput{Type: "kv"}); err != nil {
		t.Fatal(err)
	}
	if _, err := all[0].Logical().Write("kv/x", map[string]any{"v": "1"}); err != nil {
		t.Fatal(err)
	}
	health := func(v *testenv.Vault) int { return v.HTTP(http.MethodGet, "sys/health", nil).Status }
	for _, v := range all {
		eventually(t, "each node is active", func() bool { return health(v) == http.StatusOK })
	}
	on.Freeze(t)
	for _, v := range all {
		eventually(t, "each node has lost touch", func() bool {
			a := v.HTTP(http.MethodGet, "kv/x", nil)
			return a.Status == http.StatusServiceUnavailable && strings.Contains(a.Body, "lost touch")
		})
		if a := v.HTTP(http.MethodGet, "sys/health?behindcode=299", nil); a.Status != 299 {
			t.Error("its health:", a)
		}
		subscribed := v.HTTP(http.MethodGet, "sys/events/subscribe/kv-v1/write?json=true", nil, "Connection", "Upgrade", "Upgrade", "websocket",
			"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
		if subscribed.Status != http.StatusServiceUnavailable || !strings.Contains(subscribed.Body, "lost touch") {
			t.Error("a subscription on a node that hears nothing:", subscribed)
		}
	}
	on.Thaw(t)
	for _, v := range all {
		eventually(t, "each node serves again", func() bool {
			return health(v) == http.StatusOK && v.HTTP(http.MethodGet, "kv/x", nil).Status == http.StatusOK
		})
	}
}
