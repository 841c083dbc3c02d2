package member_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd"
)

// A node whose log is damaged, not cut, says so and what helps. Emptied, it joins anew.
func TestDamaged(t *testing.T) {
	t.Parallel()
	all := list(t, 3)
	nodes := together(t, all)
	value := strings.Repeat("found in the log", 8)
	first := storeOf(t, nodes[0], etcd.Config{})
	eventually(t, "a write", func() bool { return writes(t.Context(), first, value) })
	cfg, store := all[2], storeOf(t, nodes[2], etcd.Config{})
	eventually(t, "the third node has what was written", func() bool {
		e, err := store.Get(t.Context(), value)
		return err == nil && e.Revision > 0
	})
	for _, m := range nodes { // with others there, it might serve through them before its etcd finds the damage
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	logs, err := filepath.Glob(filepath.Join(cfg.Dir, "etcd", "member", "wal", "*.wal"))
	if err != nil || len(logs) == 0 {
		t.Fatal(logs, err)
	}
	raw, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(raw, []byte(value)); n == 0 {
		t.Fatal("the log has nothing of what was written")
	}
	damaged := bytes.ReplaceAll(raw, []byte(value), bytes.ToUpper([]byte(value)))
	if err := os.WriteFile(logs[0], damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = try(t, cfg)
	wantKind(t, err, errs.Invalid, "is damaged")
	wantKind(t, err, errs.Invalid, "joins anew")
	nodes = together(t, all[:2])
	if err := os.RemoveAll(cfg.Dir); err != nil {
		t.Fatal(err)
	}
	open(t, cfg)
	eventually(t, "it votes again", func() bool { return voters(t, nodes[0], cfg.Name) })
}
