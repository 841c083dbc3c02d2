package testenv

import (
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/base"
	"github.com/strongkeep/strongkeep/internal/testenv/buffer"
	"github.com/strongkeep/strongkeep/internal/testenv/etcdtest"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
)

// Vault is a running server with everything a test needs to know of it.
type Vault struct {
	*vault.Client // with the root token

	Server *app.Server
	Config app.ServerConfig
	Root   string         // the root token
	Shares []string       // in hex; Threshold of them unseal
	Log    *buffer.Buffer // what the server logged
	t      testing.TB
	stop   func()

	mu         sync.Mutex     // of transports
	transports []*http.Client // of all clients made, so that no idle connection holds up the end
}

// Threshold of the vaults made here, of Shares.
const (
	Shares    = 5
	Threshold = 3
)

// Start runs a server with TLS and an embedded store in a directory of the
// test's (or etcd, see package base), initialised 5/3 and unsealed, with the default audit device. change
// may be nil. The test's end stops it.
func Start(t testing.TB, change func(*app.ServerConfig)) *Vault {
	t.Helper()
	v := New(t, change)
	made, err := v.Server.Gate().Init(context.Background(), seal.InitConfig{Shares: Shares, Threshold: Threshold})
	if err != nil {
		t.Fatal("initialising:", err)
	}
	v.Root = made.RootToken.RevealString()
	for _, s := range made.Shares {
		v.Shares = append(v.Shares, hex.EncodeToString(s.Reveal()))
	}
	v.Client.SetToken(v.Root)
	v.Unseal()
	return v
}

// New runs a server that is not initialised.
func New(t testing.TB, change func(*app.ServerConfig)) *Vault {
	t.Helper()
	v := &Vault{t: t, Log: new(buffer.Buffer)}
	v.Config = app.ServerConfig{DataDir: t.TempDir(), Listen: "127.0.0.1:0"}
	if base.Etcd(t) {
		v.Config.Storage = "etcd"
		v.Config.EtcdEndpoints, v.Config.EtcdPrefix = []string{etcdtest.Shared(t).Endpoint}, etcdtest.Prefix()
	}
	v.Config.Log = slog.New(slog.NewTextHandler(v.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if change != nil {
		change(&v.Config)
	}
	v.run()
	t.Cleanup(func() { v.stop() })
	return v
}

// run starts the server and makes a client for it.
func (v *Vault) run() {
	v.t.Helper()
	server, err := app.NewServer(context.Background(), v.Config)
	if err != nil {
		v.t.Fatal("starting the server:", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx) }()
	v.Server = server
	v.stop = func() {
		v.mu.Lock()
		for _, c := range v.transports {
			c.CloseIdleConnections() // HTTP/2 would wait a second for each
		}
		v.transports = nil
		v.mu.Unlock()
		cancel()
		if err := <-served; err != nil {
			v.t.Error("serving:", err)
		}
		if err := server.Close(); err != nil {
			v.t.Error("closing the server:", err)
		}
	}
	token := ""
	if v.Client != nil {
		token = v.Client.Token()
	}
	v.Client = v.NewClient(token)
}

// NewClient returns a client with another token. Several goroutines may ask at
// once.
func (v *Vault) NewClient(token string) *vault.Client {
	v.t.Helper()
	cfg := vault.DefaultConfig()
	cfg.Address, cfg.MaxRetries, cfg.Timeout = v.Server.URL(), 0, 2*time.Minute
	if ca := v.Server.CAFile(); ca != "" {
		if err := cfg.ConfigureTLS(&vault.TLSConfig{CACert: ca}); err != nil {
			v.t.Fatal(err)
		}
	}
	client, err := vault.NewClient(cfg)
	if err != nil {
		v.t.Fatal(err)
	}
	v.mu.Lock()
	v.transports = append(v.transports, cfg.HttpClient)
	v.mu.Unlock()
	client.ClearNamespace()
	client.SetToken(token)
	return client
}

// Restart stops the server in good order and starts it again on the same data.
// A vault without an unseal key is sealed then.
func (v *Vault) Restart() {
	v.t.Helper()
	v.stop()
	v.run()
}

// Unseal gives a threshold of the shares.
func (v *Vault) Unseal() {
	v.t.Helper()
	for _, share := range v.Shares[:Threshold] {
		if _, err := v.Server.Gate().Unseal(context.Background(), redact.FromString(share)); err != nil {
			v.t.Fatal("unsealing:", err)
		}
	}
}

// AuditFile is the log of the default audit device.
func (v *Vault) AuditFile() string { return filepath.Join(v.Config.DataDir, "audit", "audit.log") }

// Policy writes a policy and returns a token that has only it and "default".
func (v *Vault) Policy(name, text string) string {
	v.t.Helper()
	if err := v.Sys().PutPolicy(name, text); err != nil {
		v.t.Fatal("writing policy:", err)
	}
	s, err := v.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{name}, TTL: "1h"})
	if err != nil {
		v.t.Fatal("creating token:", err)
	}
	return s.Auth.ClientToken
}

// Answer is a raw HTTP answer.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// HTTP sends one raw request to /v1/path with the root token and the headers
// given in pairs; an empty value removes a header.
func (v *Vault) HTTP(method, path string, body io.Reader, headers ...string) Answer {
	v.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, v.Server.URL()+"/v1/"+path, body)
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", v.Root)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Del(headers[i])
		if headers[i+1] != "" {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	res, err := v.Client.CloneConfig().HttpClient.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return Answer{res.StatusCode, res.Header, string(content)}
}
