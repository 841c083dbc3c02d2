package lock_test

import (
	"path/filepath"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/lock"
)

// One at a time has a directory, which is made.
func TestTake(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	release, err := lock.Take(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Take(dir); !errs.Is(err, errs.Conflict) {
		t.Errorf("a second one: %v", err)
	}
	release()
	if release, err = lock.Take(dir); err != nil {
		t.Fatal(err)
	}
	release()
}
