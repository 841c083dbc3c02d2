package etcdtest_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/testenv/etcdtest"
)

const childVariable = "STRONGKEEP_TEST_ETCD_CHILD"

// An etcd and its files go when the test's process is killed.
func TestEndsWithItsOwner(t *testing.T) {
	if os.Getenv(childVariable) != "" {
		etcdtest.Shared(t)
		fmt.Println("running")
		select {}
	}
	dir := t.TempDir()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=TestEndsWithItsOwner")
	child.Env = append(os.Environ(), childVariable+"=1", "TMPDIR="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan() && !strings.Contains(lines.Text(), "running"); {
	}
	found, err := filepath.Glob(filepath.Join(dir, "strongkeep-etcd-*", "data", "member"))
	if err != nil || len(found) != 1 {
		t.Fatalf("etcd's files: %q, %v", found, err)
	}
	if err := child.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	for deadline := time.Now().Add(time.Minute); ; {
		if _, err := os.Stat(filepath.Dir(filepath.Dir(found[0]))); errors.Is(err, fs.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("etcd's files are still there")
		}
		<-time.After(20 * time.Millisecond)
	}
}
