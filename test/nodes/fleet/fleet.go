package fleet

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv/etcdtest"
	"github.com/strongkeep/strongkeep/internal/testenv/port"
)

// Fleet is servers of one vault. Its methods are for the test's goroutine, but Client.
type Fleet struct {
	testing.TB
	Dir   string // a folder of the test's, with one below it for each node
	Nodes []*Node
	Root  string // token

	on     *etcdtest.Server
	prefix string
}

// New makes the folders and the unseal key of nodes that use on. None runs.
func New(t testing.TB, on *etcdtest.Server, names ...string) *Fleet {
	t.Helper()
	f := &Fleet{TB: t, Dir: t.TempDir(), on: on, prefix: etcdtest.Prefix()}
	for _, name := range names {
		n := &Node{fleet: f, Name: name, Dir: filepath.Join(f.Dir, name), Address: Address(t)}
		for _, d := range []string{"bin", "etc", "lib"} {
			if err := os.MkdirAll(filepath.Join(n.Dir, d), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		n.configure()
		f.Nodes = append(f.Nodes, n)
	}
	return f
}

// Address is one on which nobody listens.
func Address(t testing.TB) string {
	t.Helper()
	p, err := port.Free(port.Host())
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(port.Host(), strconv.Itoa(p))
}

// Start runs all nodes, by program where they have none of their own, and makes the vault, which
// all have open when it returns.
func (f *Fleet) Start(program string) {
	f.Helper()
	key, err := exec.CommandContext(f.Context(), program, "operator", "unseal-key", f.key()).CombinedOutput()
	if err != nil {
		f.Fatalf("making the unseal key: %v\n%s", err, key)
	}
	for _, n := range f.Nodes {
		if n.Program == "" {
			n.Program = program
		}
		n.Start()
	}
	f.Nodes[0].await(func(c *vault.Client) error {
		made, err := c.Sys().InitWithContext(f.Context(), &vault.InitRequest{RecoveryShares: 1, RecoveryThreshold: 1})
		if err == nil {
			f.Root = made.RootToken
		}
		return err
	})
	for _, n := range f.Nodes {
		n.Ready()
	}
}

func (f *Fleet) key() string { return filepath.Join(f.Dir, "unseal.key") }

// Client is one of the official library, for a URL of a node or of what stands before all of them. It
// trusts all nodes, with connections of its own, and tries nothing again.
func (f *Fleet) Client(url, token string) *vault.Client {
	f.Helper()
	pool := x509.NewCertPool()
	for _, n := range f.Nodes {
		ca, err := os.ReadFile(filepath.Join(n.Dir, "lib/tls/ca.pem"))
		if err == nil && !pool.AppendCertsFromPEM(ca) {
			f.Fatal("the CA of a node cannot be read: ", n.Name)
		}
	}
	c := vault.DefaultConfig()
	c.Address, c.MaxRetries = url, 0
	transport, _ := c.HttpClient.Transport.(*http.Transport)
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	f.Cleanup(transport.CloseIdleConnections)
	client, err := vault.NewClient(c)
	if err != nil {
		f.Fatal(err)
	}
	client.SetToken(token)
	return client
}

// Leader is the node that does the background work.
func (f *Fleet) Leader() *Node {
	f.Helper()
	var leader *Node
	Eventually(f, "one node leads", func() error {
		for _, n := range f.Nodes {
			if n.cmd == nil || n.frozen {
				continue
			}
			s, err := n.Client().Sys().LeaderWithContext(f.Context())
			if err != nil {
				return err
			}
			for _, other := range f.Nodes {
				if s.LeaderAddress == "https://"+other.Address {
					leader = other
					return nil
				}
			}
		}
		return fmt.Errorf("nobody does")
	})
	return leader
}

// Deaf reports whether a node refused a request because it had heard nothing of etcd for a moment, as happens
// where the machine is busy. That it says so is tested in internal/testenv (TestNodesWithoutEtcd).
func Deaf(err error) bool {
	refused := (*vault.ResponseError)(nil)
	return errors.As(err, &refused) && refused.StatusCode == http.StatusServiceUnavailable && strings.Contains(err.Error(), "lost touch with its store")
}

// Asked has a node do something, again while it is deaf: what may be done twice, as it may have become so amid
// the first time.
func Asked(t testing.TB, what string, do func() error) {
	t.Helper()
	Eventually(t, what, func() error {
		err := do()
		if err != nil && !Deaf(err) {
			t.Fatalf("%s: %v", what, err)
		}
		return err
	})
}

// Eventually waits until is returns nil, for two minutes at most.
func Eventually(t testing.TB, what string, is func() error) {
	t.Helper()
	end := time.After(2 * time.Minute)
	for {
		err := is()
		if err == nil {
			return
		}
		select {
		case <-end:
			t.Fatalf("not within two minutes: %s: %v", what, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
