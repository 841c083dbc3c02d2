package testenv_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/etcdtest"
)

// A vault whose etcd is killed answers 503, keeps what it acknowledged and goes
// on by itself when etcd is back: sealed it is not.
func TestVaultOutlivesItsEtcd(t *testing.T) {
	server := etcdtest.Start(t, etcdtest.Options{TLS: true})
	v := testenv.Start(t, func(c *app.ServerConfig) {
		c.Storage, c.EtcdTimeout = "etcd", "10s"
		c.EtcdEndpoints, c.EtcdPrefix = []string{server.Endpoint}, "vaults/one"
		c.EtcdCAFile, c.EtcdCertFile, c.EtcdKeyFile = server.CAFile, server.Client.Cert, server.Client.Key
	})
	write := func(name, value string) int {
		t.Helper()
		return v.HTTP(http.MethodPut, "cubbyhole/"+name, strings.NewReader(`{"value":"`+value+`"}`)).Status
	}
	if status := write("a", "before"); status != http.StatusNoContent {
		t.Fatalf("writing: %d", status)
	}
	server.Kill(t)
	if status := write("a", "amid"); status != http.StatusServiceUnavailable {
		t.Errorf("writing without etcd: %d, want 503", status)
	}
	server.Restart(t)
	for deadline := time.Now().Add(time.Minute); write("b", "after") != http.StatusNoContent; {
		if time.Now().After(deadline) {
			t.Fatal("the vault does not write again")
		}
		<-time.After(20 * time.Millisecond)
	}
	a := v.HTTP(http.MethodGet, "cubbyhole/a", nil)
	if a.Status != http.StatusOK || !strings.Contains(a.Body, "before") && !strings.Contains(a.Body, "amid") {
		t.Errorf("what was written before is %d %s", a.Status, a.Body)
	}
	v.Restart()
	v.Unseal()
	if b := v.HTTP(http.MethodGet, "cubbyhole/b", nil); !strings.Contains(b.Body, "after") {
		t.Errorf("after a restart b is %d %s", b.Status, b.Body)
	}
	status, err := v.Sys().SealStatus()
	if err != nil || status.StorageType != "etcd" {
		t.Errorf("storage type %q, %v", status.StorageType, err)
	}
}

// Nothing that is a secret lies in etcd in the clear, names included.
func TestEtcdHoldsNoPlainText(t *testing.T) {
	server := etcdtest.Start(t, etcdtest.Options{})
	v := testenv.Start(t, func(c *app.ServerConfig) {
		c.Storage, c.EtcdEndpoints, c.EtcdPrefix = "etcd", []string{server.Endpoint}, ""
	})
	if a := v.HTTP(http.MethodPut, "cubbyhole/canary-name-1b7", strings.NewReader(`{"value":"canary-value-c52"}`)); a.Status != http.StatusNoContent {
		t.Fatal(a)
	}
	for key, value := range server.Dump(t) {
		for _, secret := range []string{"canary-name-1b7", "canary-value-c52", v.Root} {
			if strings.Contains(key+value, secret) {
				t.Errorf("etcd holds a secret in the clear at %q", key)
			}
		}
		if !strings.HasPrefix(key, "strongkeep/") {
			t.Errorf("the key %q is outside the prefix", key)
		}
	}
}
