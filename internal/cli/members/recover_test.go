package members_test

import (
	"bytes"
	"encoding/json"
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
	"github.com/strongkeep/strongkeep/internal/testenv/await"
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

// opened is a member that runs, with its configuration file.
func opened(t *testing.T) (file string, own member.Config, m *member.Member) {
	t.Helper()
	file = configured(t)
	cfg, err := app.LoadServerConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	if own, err = cfg.Member(); err != nil {
		t.Fatal(err)
	}
	if m, err = member.Open(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return file, own, m
}

// Who has the configuration file is told what nodes know: of one that runs, of a vault that was never
// opened, and of none.
func TestListByKey(t *testing.T) {
	file, own, m := opened(t)
	list := []string{"operator", "members", "list", "-config=" + file}
	// A node has two seconds to answer, which is little on a busy machine.
	await.Until(t, "the list says that the node leads", func() bool {
		code, stdout, _ := run(t, list...)
		return code == 0 && strings.Contains(stdout, "leads") && strings.Contains(stdout, "The leader is a; 1 of 1 voters answer here.")
	})
	await.Until(t, "the list says so in JSON", func() bool {
		code, stdout, _ := run(t, append(list, "-format=json")...)
		var view struct {
			By, Leader string
			Nodes      []struct{ Name, Says string }
		}
		if err := json.Unmarshal([]byte(stdout), &view); err != nil {
			t.Fatal(err, stdout)
		}
		return code == 0 && view.By == "a" && view.Leader == "a" && len(view.Nodes) == 1 && view.Nodes[0].Says == "leads"
	})
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if code, stdout, _ := run(t, list...); code != 0 || !strings.Contains(stdout, "not a member") || !strings.Contains(stdout, "No member answers here") {
		t.Errorf("%d, %s", code, stdout)
	}
	// A server that does not answer leads to the same command.
	if code, _, stderr := run(t, "operator", "members", "list", "-address=https://"+own.Listen); code != 8 || !strings.Contains(stderr, "operator members list -config=FILE") {
		t.Errorf("%d, %s", code, stderr)
	}
}

// Recover is refused beside the server, and says
// what it did in one line, not in those of etcd.
func TestRecover(t *testing.T) {
	file, _, m := opened(t)
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
