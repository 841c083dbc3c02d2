//go:build race

package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain builds a strongkeep for the scripts, without the race detector: they start it hundreds of times, and
// where it looks for races each start takes several times as long. Their servers, in this process, are looked at.
func TestMain(m *testing.M) { testscript.Main(built{m}, nil) }

type built struct{ *testing.M }

// Run implements testscript.TestingM.
func (b built) Run() int {
	dir, err := os.MkdirTemp("", "strongkeep-cli-")
	if err != nil {
		return failed(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "strongkeep"), "../../cmd/strongkeep").CombinedOutput(); err != nil {
		return failed(fmt.Errorf("building strongkeep: %w\n%s", err, out))
	}
	if err := os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		return failed(err)
	}
	return b.M.Run()
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}
