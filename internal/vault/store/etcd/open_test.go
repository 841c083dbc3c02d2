package etcd_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/etcdtest"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd"
)

// refused opens a store that must not open.
func refused(t *testing.T, cfg etcd.Config, kind errs.Kind, says ...string) {
	t.Helper()
	s, err := etcd.Open(t.Context(), cfg)
	if err == nil {
		_ = s.Close()
	}
	wantKind(t, err, kind, says...)
}

func TestConfigurationThatCannotBeRight(t *testing.T) {
	const local = "http://127.0.0.1:2379"
	junk := filepath.Join(t.TempDir(), "junk.pem")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	password := redact.FromString("canary-7f3a")
	for name, c := range map[string]struct {
		cfg  etcd.Config
		says string
	}{
		"no endpoint":          {etcd.Config{}, "no endpoint"},
		"no scheme":            {etcd.Config{Endpoints: []string{"127.0.0.1:2379"}}, "https://HOST:PORT"},
		"other scheme":         {etcd.Config{Endpoints: []string{"ftp://127.0.0.1:2379"}}, "https://HOST:PORT"},
		"no host":              {etcd.Config{Endpoints: []string{"https://:2379"}}, "https://HOST:PORT"},
		"a path":               {etcd.Config{Endpoints: []string{local + "/v3"}}, "https://HOST:PORT"},
		"a user in the URL":    {etcd.Config{Endpoints: []string{"http://root:canary-7f3a@127.0.0.1:2379"}}, "their own settings"},
		"mixed":                {etcd.Config{Endpoints: []string{local, "https://127.0.0.1:2379"}}, "one or the other"},
		"no port":              {etcd.Config{Endpoints: []string{"http://127.0.0.1"}}, "names no port"},
		"empty segment":        {etcd.Config{Endpoints: []string{local}, Prefix: "a//b"}, "key prefix"},
		"only a slash":         {etcd.Config{Endpoints: []string{local}, Prefix: "/"}, "key prefix"},
		"control character":    {etcd.Config{Endpoints: []string{local}, Prefix: "a\nb"}, "key prefix"},
		"long prefix":          {etcd.Config{Endpoints: []string{local}, Prefix: strings.Repeat("x", 128)}, "at most 128"},
		"half a pair":          {etcd.Config{Endpoints: []string{local}, CertFile: "x"}, "go together"},
		"user, no password":    {etcd.Config{Endpoints: []string{local}, Username: "u"}, "go together"},
		"password, no user":    {etcd.Config{Endpoints: []string{local}, Password: password}, "go together"},
		"password in clear":    {etcd.Config{Endpoints: []string{"http://192.0.2.1:2379"}, Username: "u", Password: password}, "use https"},
		"CA without TLS":       {etcd.Config{Endpoints: []string{local}, CAFile: junk}, "no endpoint is https"},
		"CA that is not there": {etcd.Config{Endpoints: []string{"https://127.0.0.1:1"}, CAFile: junk + "x"}, "no such file"},
		"CA that is none":      {etcd.Config{Endpoints: []string{"https://127.0.0.1:1"}, CAFile: junk}, "no PEM certificate"},
		"pair that is none":    {etcd.Config{Endpoints: []string{"https://127.0.0.1:1"}, CertFile: junk, KeyFile: junk}, junk},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := etcd.Open(t.Context(), c.cfg)
			wantKind(t, err, errs.Invalid, c.says)
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the error quotes the password: %v", err)
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	cfg := etcd.Config{Endpoints: []string{"http://127.0.0.1:1", "http://127.0.0.1:2"}, StartTimeout: 100 * time.Millisecond}
	refused(t, cfg, errs.Unavailable, "reaching etcd at http://127.0.0.1:1: ", "reaching etcd at http://127.0.0.1:2: ", "connection refused")
}

func TestWaitsForEtcdToStart(t *testing.T) {
	server := etcdtest.Start(t, etcdtest.Options{})
	cfg := server.Config()
	server.Kill(t)
	opened := make(chan error)
	go func() {
		s, err := etcd.Open(t.Context(), cfg)
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	server.Restart(t)
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

// One member that is down, or that is none, must not keep the vault from starting.
func TestOneEndpointIsEnough(t *testing.T) {
	cfg := etcdtest.Shared(t).Config()
	cfg.Endpoints = append([]string{"http://127.0.0.1:1"}, cfg.Endpoints...)
	s := open(t, cfg)
	put(t, s, "f/a", "x")
	if get(t, s, "f/a") != "x" {
		t.Error("what was written is not there")
	}
}

func TestTLS(t *testing.T) {
	server := etcdtest.Start(t, etcdtest.Options{TLS: true})
	other := etcdtest.Start(t, etcdtest.Options{TLS: true})
	good := server.Config()
	good.StartTimeout = 100 * time.Millisecond
	s := open(t, good)
	put(t, s, "f/a", "x")

	cfg := good
	cfg.CAFile = other.CAFile
	refused(t, cfg, errs.Invalid, server.Endpoint, "is not trusted", other.CAFile)
	cfg.CAFile = ""
	refused(t, cfg, errs.Invalid, "is not trusted", "the system's")
	cfg = good
	cfg.CertFile, cfg.KeyFile = "", ""
	refused(t, cfg, errs.Unauthenticated, server.Endpoint, "certificate required")
	cfg = good
	cfg.CertFile, cfg.KeyFile = other.Client.Cert, other.Client.Key
	refused(t, cfg, errs.Unauthenticated, server.Endpoint)
	cfg = good
	cfg.Endpoints = []string{strings.Replace(server.Endpoint, "https:", "http:", 1)}
	cfg.CAFile, cfg.CertFile, cfg.KeyFile = "", "", ""
	refused(t, cfg, errs.Unavailable, cfg.Endpoints[0], "https is meant")
	cfg.Endpoints = []string{strings.Replace(etcdtest.Shared(t).Endpoint, "http:", "https:", 1)}
	refused(t, cfg, errs.Unavailable, cfg.Endpoints[0], "http where")
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	cfg.Endpoints = []string{web.URL}
	refused(t, cfg, errs.Invalid, web.URL, "no etcd")
}

// A client certificate is renewed by writing its files anew.
func TestRenewedClientCertificate(t *testing.T) {
	server := etcdtest.Start(t, etcdtest.Options{TLS: true})
	cfg := server.Config()
	dir := t.TempDir()
	copyFile(t, cfg.CertFile, filepath.Join(dir, "c.crt"))
	copyFile(t, cfg.KeyFile, filepath.Join(dir, "c.key"))
	cfg.CertFile, cfg.KeyFile = filepath.Join(dir, "c.crt"), filepath.Join(dir, "c.key")
	s := open(t, cfg)
	put(t, s, "f/a", "x")
	if err := os.WriteFile(cfg.CertFile, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	server.Kill(t) // all connections are to be made again
	server.Restart(t)
	if _, err := s.Get(t.Context(), "f/a"); err == nil {
		t.Fatal("a connection was made without a certificate, so this test shows nothing")
	}
	copyFile(t, server.Client.Cert, cfg.CertFile)
	eventually(t, "reading with the new certificate", func() bool {
		_, err := s.Get(t.Context(), "f/a")
		return err == nil
	})
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAuthentication(t *testing.T) {
	server := etcdtest.Start(t, etcdtest.Options{Flags: []string{"--auth-token-ttl=1"}})
	admin := server.Dial(t)
	cfg := server.Config()
	cfg.StartTimeout, cfg.Exclusive = 100*time.Millisecond, true
	ctx := t.Context()
	steps := []func() error{
		func() error { _, err := admin.UserAdd(ctx, "root", "root-canary"); return err },
		func() error { _, err := admin.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := admin.RoleAdd(ctx, "vault"); return err },
		func() error {
			_, err := admin.RoleGrantPermission(ctx, "vault", cfg.Prefix, clientv3.GetPrefixRangeEnd(cfg.Prefix), clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := admin.UserAdd(ctx, "vault", "canary-91c4"); return err },
		func() error { _, err := admin.UserGrantRole(ctx, "vault", "vault"); return err },
		func() error { _, err := admin.AuthEnable(ctx); return err },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	refused(t, cfg, errs.Unauthenticated, server.Endpoint)
	cfg.Username, cfg.Password = "vault", redact.FromString("canary-wrong")
	_, err := etcd.Open(ctx, cfg)
	wantKind(t, err, errs.Unauthenticated, `user "vault"`, "password is wrong")
	if err != nil && strings.Contains(err.Error(), "canary") {
		t.Errorf("the error quotes the password: %v", err)
	}
	cfg.Password = redact.FromString("canary-91c4")
	elsewhere := cfg
	elsewhere.Prefix = "elsewhere"
	refused(t, elsewhere, errs.Denied, `user "vault"`, "grant-permission", "elsewhere/")

	s := open(t, cfg)
	w, err := s.Watch(ctx, "f/", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for i := range 3 { // etcd forgets a login after a second
		rev, err := s.Apply(ctx, store.Put("f/a", []byte("x")))
		if err != nil { // a second may have passed between logging in and writing, but not twice
			rev = put(t, s, "f/a", "x")
		}
		for e := range w.Events() {
			if e.Revision == rev && len(e.Changes) == 1 {
				break
			}
		}
		<-time.After(1100 * time.Millisecond)
		if i == 2 {
			server.Kill(t)
			server.Restart(t)
			eventually(t, "logging in again", func() bool { _, err := s.Get(ctx, "f/a"); return err == nil })
		}
	}
}

// What etcd takes at most is found out at the start, and nothing is left behind.
func TestLimitsThatAreTooSmall(t *testing.T) {
	for name, c := range map[string]struct{ flag, says string }{
		"operations":         {"--max-txn-ops=128", "--max-txn-ops=1024"},
		"operations, barely": {"--max-txn-ops=512", "--max-txn-ops=1024"},
		"bytes":              {"--max-request-bytes=1048576", "--max-request-bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			server := etcdtest.Start(t, etcdtest.Options{Flags: []string{c.flag}})
			before := revision(t, server.Dial(t))
			refused(t, server.Config(), errs.Unsupported, server.Endpoint, c.says)
			if after := revision(t, server.Dial(t)); after != before {
				t.Errorf("etcd went from revision %d to %d", before, after)
			}
		})
	}
	enough := etcdtest.Start(t, etcdtest.Options{Flags: []string{"--max-txn-ops=513", "--max-request-bytes=1572864"}})
	cfg := enough.Config()
	cfg.Exclusive = true
	s := open(t, cfg)
	many := make([]store.Change, store.MaxChanges)
	for i := range many {
		many[i] = store.Put("f/"+strings.Repeat("k", i+1), make([]byte, 2000)).If(0)
	}
	if _, err := s.Apply(t.Context(), many...); err != nil {
		t.Error("the largest transaction:", err)
	}
	if _, err := s.Apply(t.Context(), store.Put("f/large", make([]byte, store.MaxValue+store.Overhead))); err != nil {
		t.Error("the largest value:", err)
	}
}

func TestPrefixOfSomethingElse(t *testing.T) {
	server := etcdtest.Shared(t)
	admin := server.Dial(t)
	raw := func(key, value string) {
		t.Helper()
		if _, err := admin.Put(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	foreign := server.Config()
	raw(foreign.Prefix+"pods/default", "x")
	refused(t, foreign, errs.Invalid, foreign.Prefix+"pods/default", "another prefix")

	inner := server.Config()
	put(t, open(t, inner), "f/a", "x")
	outer := inner
	outer.Prefix = inner.Prefix + "k/"
	refused(t, outer, errs.Invalid, "not strongkeep's")

	newer := server.Config()
	raw(newer.Prefix+"meta/format", "3")
	refused(t, newer, errs.Unsupported, "layout", "newer")

	beside := inner
	beside.Prefix = strings.TrimSuffix(inner.Prefix, "/") + "0" // what follows the folder
	if names, err := open(t, beside).List(t.Context(), "", "", 0); err != nil || len(names) != 0 {
		t.Errorf("a new store holds %q, %v", names, err)
	}
}
