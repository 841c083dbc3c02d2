package kms_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v2 "k8s.io/kms/apis/v2"

	"github.com/strongkeep/strongkeep/internal/cli/kms"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/kms/conform"
)

// child names, in the environment of a child, the configuration that it runs with.
const child = "STRONGKEEP_KMS_CHILD"

func TestMain(m *testing.M) {
	if config := os.Getenv(child); config != "" {
		c := kms.Command(&session.Session{Env: session.System()}, map[string]keystore.Opener{"file": file.Open})
		c.SetArgs([]string{"run", "--config=" + config})
		if err := c.ExecuteContext(context.Background()); err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// node is a plugin in a process of its own.
type node struct {
	*testing.T
	dir, name string
	delay     string
	cmd       *exec.Cmd
	ended     chan struct{}
	log       strings.Builder // of the process; read when it has ended
}

func (n *node) socket() string { return filepath.Join(n.dir, n.name+".sock") }

func (n *node) start() {
	n.Helper()
	config := filepath.Join(n.dir, n.name+".yaml")
	text := "name: cluster\nsocket: " + n.socket() + "\npoll: 100ms\nstale_after: 10m\nactivation_delay: " + n.delay + "\nkey: {file: {path: " + filepath.Join(n.dir, "key") + "}}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		n.Fatal(err)
	}
	n.cmd = exec.CommandContext(context.WithoutCancel(n.Context()), os.Args[0])
	n.cmd.Env = append(os.Environ(), child+"="+config)
	n.cmd.Stdout, n.cmd.Stderr = nil, &n.log
	if err := n.cmd.Start(); err != nil {
		n.Fatal(err)
	}
	n.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) { defer close(ended); _ = cmd.Wait() }(n.cmd, n.ended)
}

// kill ends the process as a power cut does.
func (n *node) kill() {
	_ = n.cmd.Process.Kill()
	<-n.ended
}

// status waits until the plugin is healthy.
func (n *node) status() string {
	n.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		c := n.dial()
		a, err := c.Status(n.Context())
		_ = c.Close()
		if err == nil {
			return a.GetKeyId()
		}
		select {
		case <-tick.C:
		case <-n.ended:
			n.Fatalf("plugin %s has ended by itself: %s", n.name, n.log.String())
		}
	}
}

func (n *node) dial() *conform.Client {
	n.Helper()
	c, err := conform.Dial(n.socket())
	if err != nil {
		n.Fatal(err)
	}
	return c
}

func (n *node) encrypt() *v2.EncryptResponse {
	n.Helper()
	c := n.dial()
	defer func() { _ = c.Close() }()
	sealed, err := c.Encrypt(n.Context(), []byte("seed"))
	if err != nil {
		n.Fatal(err)
	}
	return sealed
}

func (n *node) opens(sealed *v2.EncryptResponse) {
	n.Helper()
	c := n.dial()
	defer func() { _ = c.Close() }()
	if plain, err := c.Decrypt(n.Context(), sealed); err != nil || string(plain) != "seed" {
		n.Errorf("plugin %s does not decrypt: %v", n.name, err)
	}
}

// Two nodes of one key are killed again and again while it is turned: each start finds
// the socket of the one before, none turns before the time, none turns back, and each
// decrypts what either encrypted.
func TestKilledAmidATurn(t *testing.T) {
	dir, err := os.MkdirTemp("", "kms")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	key := filepath.Join(dir, "key")
	if _, err := file.Generate(key); err != nil {
		t.Fatal(err)
	}
	const delay = 3 * time.Second
	nodes := []*node{{T: t, dir: dir, name: "one", delay: delay.String()}, {T: t, dir: dir, name: "two", delay: delay.String()}}
	for _, n := range nodes {
		n.start()
		t.Cleanup(n.kill)
	}
	old := nodes[0].status()
	if id := nodes[1].status(); id != old {
		t.Fatalf("two nodes have key ids %s and %s", old, id)
	}
	all := []*v2.EncryptResponse{nodes[0].encrypt()}
	made := time.Now().Truncate(time.Second) // as the file has it
	if err := file.Add(key, made); err != nil {
		t.Fatal(err)
	}
	turned := map[string]string{}
	for len(turned) < len(nodes) {
		for _, n := range nodes {
			n.kill()
			n.start()
			id := n.status()
			if id != old && time.Since(made) < delay {
				t.Fatalf("plugin %s has turned before the others can have seen the key", n.name)
			}
			if was := turned[n.name]; was != "" && was != id {
				t.Fatalf("plugin %s has turned from %s to %s", n.name, was, id)
			}
			if id != old {
				turned[n.name] = id
			}
			all = append(all, n.encrypt())
		}
	}
	if turned["one"] != turned["two"] || turned["one"] == old {
		t.Errorf("after the turn the nodes have key ids %v, before %s", turned, old)
	}
	for _, n := range nodes {
		n.kill()
		n.start()
		if id := n.status(); id != turned[n.name] {
			t.Errorf("plugin %s has turned back to %s", n.name, id)
		}
		for _, sealed := range all {
			n.opens(sealed)
		}
	}
}
