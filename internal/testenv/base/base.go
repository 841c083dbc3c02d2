// Package base gives tests the store at the bottom of a vault: in memory, or in
// etcd when STRONGKEEP_TEST_STORE=etcd, which `make test-etcd` sets.
//
// Only tests import it. Start reading at Open.
package base

import (
	"os"
	"testing"

	"github.com/strongkeep/strongkeep/internal/testenv/etcdtest"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

// Variable is the environment variable that chooses the store of tests:
// "etcd", or empty for what each test uses by itself.
const Variable = "STRONGKEEP_TEST_STORE"

// Etcd reports whether tests are to use etcd.
func Etcd(t testing.TB) bool {
	t.Helper()
	switch v := os.Getenv(Variable); v {
	case "":
		return false
	case "etcd":
		return true
	default:
		t.Fatalf("%s=%q: use etcd, or nothing", Variable, v)
		return false
	}
}

// Open returns an empty store. The caller closes it.
func Open(t testing.TB) store.Store {
	t.Helper()
	if !Etcd(t) {
		return mem.New(mem.Config{})
	}
	s, err := etcd.Open(t.Context(), etcdtest.Shared(t).Config())
	if err != nil {
		t.Fatal("opening a store in etcd:", err)
	}
	return s
}
