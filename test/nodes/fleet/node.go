package fleet

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv/freeze"
)

// Node is one server. It ends with the test, and must then end well.
type Node struct {
	Name    string
	Dir     string // bin, etc (server.yaml) and lib of its own
	Address string // of its API
	Program string // the command that is started next

	fleet  *Fleet
	cmd    *exec.Cmd // nil = it does not run
	log    *os.File
	frozen bool
}

// configure writes etc/server.yaml.
func (n *Node) configure() {
	f := n.fleet
	f.Helper()
	lines := []string{
		"ha_enabled: true", "storage: etcd", "etcd_endpoints: [" + f.on.Endpoint + "]", "etcd_prefix: " + f.prefix,
		"unseal_key_file: " + f.key(), "node_name: " + n.Name, "listen: " + n.Address, "data_dir: " + filepath.Join(n.Dir, "lib"), "",
	}
	if err := os.WriteFile(n.config(), []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		f.Fatal(err)
	}
}

func (n *Node) config() string { return filepath.Join(n.Dir, "etc/server.yaml") }

// Start runs it and does not wait for it.
func (n *Node) Start() {
	f := n.fleet
	f.Helper()
	var err error
	if n.log, err = os.OpenFile(n.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		f.Fatal(err)
	}
	n.cmd = exec.Command(n.Program, "server", "-config="+n.config())
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	n.cmd.SysProcAttr = owned()
	if err := n.cmd.Start(); err != nil {
		f.Fatal(err)
	}
	cmd := n.cmd
	f.Cleanup(func() {
		if n.cmd != cmd {
			return
		}
		if f.Failed() {
			f.Logf("the log of %s ends:\n%s", n.Name, n.tail())
		}
		n.Stop()
	})
}

// LogFile is what it has written.
func (n *Node) LogFile() string { return filepath.Join(n.Dir, "log") }

func (n *Node) tail() []byte {
	log, err := os.ReadFile(n.LogFile())
	if err != nil {
		return []byte(err.Error())
	}
	return bytes.ToValidUTF8(log[max(0, len(log)-4000):], nil)
}

// Wait waits until it has ended by itself, and returns how.
func (n *Node) Wait() error {
	cmd := n.cmd
	n.cmd = nil
	defer func() { _ = n.log.Close() }()
	return cmd.Wait()
}

// Stop has it end as systemd does, SIGTERM, and waits for that.
func (n *Node) Stop() {
	f := n.fleet
	f.Helper()
	if n.frozen {
		n.Thaw()
	}
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		f.Fatal(err)
	}
	if err := n.Wait(); err != nil {
		f.Errorf("%s did not end well: %v\n%s", n.Name, err, n.tail())
	}
}

// Freeze has it stand still, its connections open, until Thaw.
func (n *Node) Freeze() {
	n.fleet.Helper()
	if err := freeze.Stop(n.cmd.Process.Pid); err != nil {
		n.fleet.Fatal(err)
	}
	n.frozen = true
}

// Thaw undoes Freeze.
func (n *Node) Thaw() {
	n.fleet.Helper()
	if err := freeze.Continue(n.cmd.Process.Pid); err != nil {
		n.fleet.Fatal(err)
	}
	n.frozen = false
}

// Client is a new one of the root token.
func (n *Node) Client() *vault.Client { return n.fleet.Client("https://"+n.Address, n.fleet.Root) }

// Ready waits until it takes the root token.
func (n *Node) Ready() {
	n.fleet.Helper()
	n.await(func(c *vault.Client) error {
		_, err := c.Auth().Token().LookupSelfWithContext(n.fleet.Context())
		return err
	})
}

// await waits until is returns nil. A node that has ended fails the test at once.
func (n *Node) await(is func(*vault.Client) error) {
	f := n.fleet
	f.Helper()
	end := time.After(2 * time.Minute)
	for {
		err := is(n.Client()) // a new one: the CA may not have been made
		if err == nil {
			return
		}
		if stopped := syscall.Kill(n.cmd.Process.Pid, 0); stopped != nil {
			f.Fatalf("%s has ended: %v\n%s", n.Name, err, n.tail())
		}
		select {
		case <-end:
			f.Fatalf("%s does not answer: %v\n%s", n.Name, err, n.tail())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
