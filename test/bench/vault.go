package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/test/cluster/process"
)

// server is the program under test in a process of its own.
type server struct {
	process *process.Process
	client  *vault.Client // with the root token
	url     string
	data    string // its data directory
}

const (
	rootToken = "bench-root"
	auditLog  = "audit.log" // below the data directory's audit
	mounted   = "secret"
)

// startDev runs a vault on plain HTTP, with real storage and a durable audit log.
func (b *bench) startDev(ctx context.Context) (*server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	b.runs++
	s := &server{url: "http://" + address, data: filepath.Join(b.dir, "dev-"+strconv.Itoa(b.runs))}
	s.process, err = b.start("server", b.binary, "server", "-dev", "-storage=pebble", "-data-dir="+s.data,
		"-listen="+address, "-dev-root-token-id="+rootToken, "-log-level=warn")
	if err != nil {
		return nil, err
	}
	if err := s.set(ctx); err != nil {
		s.process.Stop(0)
		return nil, err
	}
	return s, nil
}

// set enables the audit log of a server that is starting.
func (s *server) set(ctx context.Context) (err error) {
	if s.client, err = newClient(s.url, "", rootToken); err != nil {
		return err
	}
	ready := func(ctx context.Context) error {
		_, err := s.client.Auth().Token().LookupSelfWithContext(ctx)
		return err
	}
	if err := s.process.Await(ctx, ready); err != nil {
		return err
	}
	err = s.client.Sys().EnableAuditWithOptionsWithContext(ctx, "file", &vault.EnableAuditOptions{
		Type: "file", Options: map[string]string{"file_path": auditLog},
	})
	if err != nil {
		return s.process.Explain(err)
	}
	return nil
}

// newClient returns one that does not try again: what fails is to be seen.
func newClient(url, caFile, token string) (*vault.Client, error) {
	c := vault.DefaultConfig()
	c.Address, c.MaxRetries, c.Timeout = url, 0, 30*time.Second
	if caFile != "" {
		if err := c.ConfigureTLS(&vault.TLSConfig{CACert: caFile}); err != nil {
			return nil, errs.Newf(errs.Unavailable, "trusting the server: %w", err)
		}
	}
	client, err := vault.NewClient(c)
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "making a client: %w", err)
	}
	client.SetToken(token)
	return client, nil
}

// appToken makes a token as an application has it: one policy, for one folder.
func (s *server) appToken(ctx context.Context) (string, error) {
	const policy = `path "secret/data/bench/*" { capabilities = ["create", "read", "update"] }`
	if err := s.client.Sys().PutPolicyWithContext(ctx, "bench", policy); err != nil {
		return "", err
	}
	made, err := s.client.Auth().Token().CreateWithContext(ctx, &vault.TokenCreateRequest{Policies: []string{"bench"}})
	if err != nil {
		return "", err
	}
	return made.Auth.ClientToken, nil
}

// auditLines counts the lines in the audit log.
func (s *server) auditLines() (int64, error) {
	f, err := os.Open(filepath.Join(s.data, "audit", auditLog))
	if err != nil {
		return 0, errs.Newf(errs.Unavailable, "opening the audit log: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	var lines int64
	buf := make([]byte, 1<<20)
	for {
		n, err := f.Read(buf)
		lines += int64(bytes.Count(buf[:n], []byte("\n")))
		if err == io.EOF {
			return lines, nil
		}
		if err != nil {
			return 0, errs.Newf(errs.Unavailable, "reading the audit log: %w", err)
		}
	}
}

// secretValue is what the benchmarks store.
func secretValue(n int) map[string]any {
	return map[string]any{
		"username": "app", "password": strconv.Itoa(1_000_000_000+n) + "-mN3xR8vQ2pL5kT7w", "endpoint": "db.example.com:5432",
	}
}
