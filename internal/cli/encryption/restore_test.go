package encryption

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// A run that was killed leaves its draft, which has secrets: the next one removes it. What
// the same command has written before is known again, if only its owner could read it.
func TestPrivate(t *testing.T) {
	dir := t.TempDir()
	path, text := filepath.Join(dir, "restored.yaml"), redact.New([]byte("of a secret"))
	if err := os.WriteFile(filepath.Join(dir, ".strongkeep-draft-restored.yaml-123"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if same(path, text) {
		t.Error("what is not there is the same")
	}
	if err := private(path, text); err != nil {
		t.Fatal(err)
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
	if err := private(path, text); errs.KindOf(err) != errs.Exist {
		t.Errorf("over a file that is there: %v", err)
	}
	if !same(path, text) || same(path, redact.New([]byte("of a Secret"))) {
		t.Error("it does not know what it has written")
	}
	if err := os.Chmod(path, 0o644); err != nil || same(path, text) {
		t.Errorf("all can read it: %v", err)
	}
}
