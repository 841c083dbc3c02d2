package testenv_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
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
	prefix := etcdtest.Prefix()
	share := func(name string) func(*app.ServerConfig) {
		return func(c *app.ServerConfig) {
			c.Storage, c.SharedStore, c.NodeName = "etcd", true, name
			c.EtcdEndpoints, c.EtcdPrefix = []string{etcdtest.Shared(t).Endpoint}, prefix
		}
	}
	one = testenv.Start(t, share("one"))
	two = testenv.New(t, share("two"))
	two.Root, two.Shares = one.Root, one.Shares
	two.Client.SetToken(one.Root)
	two.Unseal()
	return one, two
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
			if r := (*vault.ResponseError)(nil); !errors.As(err, &r) || r.StatusCode != http.StatusForbidden {
				t.Error("not refused but:", err)
			}
			break
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
