package members_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/testenv/port"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member"
)

// configured writes the configuration of a cluster of one.
func configured(t *testing.T) (file string) {
	dir := t.TempDir()
	p, err := port.Free(port.Host())
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "server.yaml")
	text := fmt.Sprintf("storage: cluster\ncluster_key_file: %[1]s/key\ncluster_node: a\ncluster_members: [\"a=https://%[2]s\"]\ncluster_listen: %[2]s\ndata_dir: %[1]s/data\n",
		dir, net.JoinHostPort(port.Host(), strconv.Itoa(p)))
	for name, content := range map[string]string{file: text, filepath.Join(dir, "key"): strings.Repeat("5e", 32)} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

func TestMain(m *testing.M) {
	if os.Getenv("TEST_AS_STRONGKEEP") != "" {
		os.Exit(cli.Main(os.Args[1:], session.System()))
	}
	os.Exit(m.Run())
}

// run is a process of its own, so that everything it says is seen.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	cmd := exec.Command(me, args...)
	cmd.Env = append(os.Environ(), "TEST_AS_STRONGKEEP=1", "GORACE=atexit_sleep_ms=10")
	cmd.Stdout, cmd.Stderr = &out, &errOut
	var ended *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

// Recover is refused beside the server, and says
// what it did in one line, not in those of etcd.
func TestRecover(t *testing.T) {
	file := configured(t)
	cfg, err := app.LoadServerConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	own, err := cfg.Member()
	if err != nil {
		t.Fatal(err)
	}
	m, err := member.Open(t.Context(), own)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	if code, _, stderr := run(t, "operator", "members", "recover", "-non-interactive", "-config="+file); code != 6 || !strings.Contains(stderr, "another process uses") {
		t.Errorf("beside the server: %d, %s", code, stderr)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := run(t, "operator", "members", "recover", "-non-interactive", "-config="+file)
	if code != 0 || !strings.HasPrefix(stdout, "Success! This node is a cluster of one.") || stderr != "" {
		t.Errorf("%d, %s%s", code, stdout, stderr)
	}
}
