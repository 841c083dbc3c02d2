package diagnose_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/diagnose"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/etcdtest"
)

// answer is the finding about a question that begins so.
func answer(t *testing.T, all []diagnose.Finding, question string) diagnose.Finding {
	t.Helper()
	for _, f := range all {
		if strings.HasPrefix(f.Question, question) {
			return f
		}
	}
	t.Fatalf("nothing is said about %q: %+v", question, all)
	return diagnose.Finding{}
}

// has fails unless a question is answered so, for a reason that has word in it, and with
// something to do if all is not well.
func has(t *testing.T, all []diagnose.Finding, question string, level diagnose.Level, word string) {
	t.Helper()
	f := answer(t, all, question)
	if f.Level != level || !strings.Contains(f.Detail, word) || (level == diagnose.Warning || level == diagnose.Failed) != (f.Next != "") && level != diagnose.Unknown {
		t.Errorf("%q: %+v, not %s for %q", question, f, level, word)
	}
}

func config(t *testing.T) app.ServerConfig {
	return app.ServerConfig{DataDir: t.TempDir(), Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)}
}

func check(t *testing.T, c app.ServerConfig) []diagnose.Finding {
	t.Helper()
	return diagnose.Check(t.Context(), diagnose.Config{Server: c, Now: time.Now})
}

func file(t *testing.T, name, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// A machine on which nothing is set up yet.
func TestBeforeTheFirstStart(t *testing.T) {
	c := config(t)
	if err := os.Chmod(c.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	all := check(t, c)
	has(t, all, "the configuration is right", diagnose.OK, "pebble")
	has(t, all, "a server answers", diagnose.Unknown, "no address")
	has(t, all, "the data directory can be used", diagnose.OK, c.DataDir)
	has(t, all, "the server's own CA lasts", diagnose.OK, "none yet")
	has(t, all, "the address can be listened on", diagnose.OK, "free")
	has(t, all, "the key that unseals answers", diagnose.OK, "shares")
	has(t, all, "the audit directory can be written to", diagnose.Warning, "not there")
	if f := answer(t, all, "writes are durable soon"); f.Level == diagnose.Unknown || !strings.Contains(f.Detail, "20 syncs") {
		t.Errorf("%+v", f)
	}
	left, err := os.ReadDir(c.DataDir)
	if err != nil || len(left) != 0 {
		t.Error("it leaves something behind:", left, err)
	}
}

func TestWrongConfiguration(t *testing.T) {
	c := config(t)
	c.Storage = "tape"
	all := check(t, c)
	has(t, all, "the configuration is right", diagnose.Failed, "tape")
	if len(all) != 1 || diagnose.Worst(all) != diagnose.Failed {
		t.Errorf("%+v", all)
	}
}

// Files that others may read, and directories that are not the server's own.
func TestPermissions(t *testing.T) {
	c := config(t)
	if err := os.Chmod(c.DataDir, 0o755); err != nil {
		t.Fatal(err)
	}
	c.UnsealKeyFile = file(t, "unseal.key", "no key", 0o660)
	c.EtcdPasswordFile = file(t, "password", "canary-of-a-password", 0o644)
	c.EtcdKeyFile = file(t, "key.pem", "no key", 0o660)
	all := check(t, c)
	has(t, all, "the data directory can be used", diagnose.Warning, "0755")
	has(t, all, "only the server reads unseal_key_file", diagnose.Failed, "0660")
	has(t, all, "only the server reads etcd_password_file", diagnose.Failed, "0644")
	has(t, all, "only the server reads etcd_key_file", diagnose.Warning, "0660")
	has(t, all, "the key that unseals answers", diagnose.Failed, "")
	if raw, err := json.Marshal(all); err != nil || strings.Contains(string(raw), "canary") {
		t.Error("a secret is shown, or", err)
	}
}

func TestPortInUse(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c := config(t)
	c.Listen = l.Addr().String()
	has(t, check(t, c), "the address can be listened on", diagnose.Failed, "in use")
}

// A certificate that has ended, one that soon will, and one that is for other names.
func TestCertificates(t *testing.T) {
	v := testenv.Start(t, nil)
	ends := func(now time.Time) []diagnose.Finding {
		c := config(t)
		c.DataDir = v.Config.DataDir
		return diagnose.Check(t.Context(), diagnose.Config{Server: c, Now: func() time.Time { return now }})
	}
	const question = "the server's own CA lasts"
	has(t, ends(time.Now()), question, diagnose.OK, "ends on")
	has(t, ends(time.Now().AddDate(10, 0, -14)), question, diagnose.Warning, "in 1")
	has(t, ends(time.Now().AddDate(11, 0, 0)), question, diagnose.Failed, "it has ended")
	has(t, ends(time.Now().AddDate(-1, 0, 0)), question, diagnose.Failed, "begins on")
	c := config(t)
	c.TLSCert, c.TLSKey = filepath.Join(v.Config.DataDir, "tls", "ca.pem"), filepath.Join(v.Config.DataDir, "tls", "ca-key.pem")
	c.TLSNames = []string{"vault.example.com"}
	has(t, check(t, c), "tls_cert fits and lasts", diagnose.Failed, "vault.example.com")
	c.TLSKey = file(t, "key.pem", "no key", 0o600)
	has(t, check(t, c), "tls_cert fits and lasts", diagnose.Failed, "")
}

// A server that runs says how it is; sealed, with leases held, without a token.
func TestRunningServer(t *testing.T) {
	v := testenv.Start(t, nil)
	ask := func(token string) []diagnose.Finding {
		c := v.Config
		c.Listen = v.Server.Addr()
		return diagnose.Check(t.Context(), diagnose.Config{
			Server: c, Address: v.Server.URL(), Client: v.NewClient("").CloneConfig().HttpClient, Token: token, Now: time.Now,
		})
	}
	all := ask(v.Root)
	has(t, all, "a server answers", diagnose.OK, v.Server.URL())
	has(t, all, "the vault is open", diagnose.OK, "unsealed")
	has(t, all, "its clock agrees", diagnose.OK, "")
	has(t, all, "the certificate that it shows lasts", diagnose.OK, "ends on")
	has(t, all, "leases end when they should", diagnose.OK, "")
	has(t, all, "audit devices take lines", diagnose.OK, "")
	has(t, all, "the newest format of the store is in use", diagnose.OK, "format 1")
	has(t, all, "the address can be listened on", diagnose.OK, "a Strongkeep answers")
	if _, err := v.Logical().Write("sys/leases/hold", nil); err != nil {
		t.Fatal(err)
	}
	has(t, ask(v.Root), "leases end when they should", diagnose.Warning, "held")
	has(t, ask(""), "it says how it is", diagnose.Unknown, "403")
	if err := v.Sys().Seal(); err != nil {
		t.Fatal(err)
	}
	has(t, ask(v.Root), "the vault is open", diagnose.Failed, "sealed")
	other := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }), ReadHeaderTimeout: time.Minute}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = other.Serve(l) }()
	defer func() { _ = other.Close() }()
	all = diagnose.Check(t.Context(), diagnose.Config{Server: config(t), Address: "http://" + l.Addr().String(), Client: http.DefaultClient, Now: time.Now})
	has(t, all, "a server answers", diagnose.Failed, "not as a vault")
}

// A member of a cluster, the others of which cannot be reached, and one without its key.
func TestCluster(t *testing.T) {
	c := config(t)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c.Storage, c.ClusterNode, c.ClusterKeyFile = "cluster", "a", filepath.Join(t.TempDir(), "key")
	c.ClusterMembers = []string{"a=https://127.0.0.1:2", "b=https://" + l.Addr().String(), "c=https://127.0.0.1:1"}
	has(t, check(t, c), "this node can be a member", diagnose.Failed, "cluster key")
	if err := os.WriteFile(c.ClusterKeyFile, []byte(strings.Repeat("0f", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	all := check(t, c)
	has(t, all, "this node can be a member", diagnose.OK, "it is a, of a list of 3")
	has(t, all, "the member b can be reached", diagnose.OK, "")
	has(t, all, "the member c can be reached", diagnose.Warning, "refused")
}

// A real etcd, and one that is not there.
func TestEtcd(t *testing.T) {
	c := config(t)
	c.Storage, c.EtcdEndpoints, c.EtcdTimeout = "etcd", []string{etcdtest.Shared(t).Endpoint}, "5s"
	has(t, check(t, c), "etcd at "+c.EtcdEndpoints[0], diagnose.OK, "version 3.")
	here := c.EtcdEndpoints[0]
	c.EtcdEndpoints = append(c.EtcdEndpoints, "http://127.0.0.1:1")
	all := check(t, c)
	has(t, all, "etcd at "+here, diagnose.OK, "")
	has(t, all, "etcd at http://127.0.0.1:1", diagnose.Warning, "")
	c.EtcdEndpoints = []string{"http://127.0.0.1:1"}
	has(t, check(t, c), "etcd at http://127.0.0.1:1", diagnose.Failed, "")
}
