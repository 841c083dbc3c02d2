package rig

import (
	"bufio"
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

// Server is the program under test in a process of its own.
type Server struct {
	Process *process.Process
	Client  *vault.Client // with the root token
	URL     string
	Data    string // its data directory
}

const (
	rootToken = "bench-root"
	auditLog  = "audit.log" // below the data directory's audit
)

// Mounted is where a server has KV version 2.
const Mounted = "secret"

// StartDev runs a vault on plain HTTP, with real storage and a durable audit log.
func (b *Rig) StartDev(ctx context.Context) (*Server, error) {
	address, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	b.runs++
	s := &Server{URL: "http://" + address, Data: filepath.Join(b.Dir, "dev-"+strconv.Itoa(b.runs))}
	s.Process, err = b.Start("server", b.Binary, "server", "-dev", "-storage=pebble", "-data-dir="+s.Data,
		"-listen="+address, "-dev-root-token-id="+rootToken, "-log-level=warn")
	if err != nil {
		return nil, err
	}
	if err := s.set(ctx); err != nil {
		s.Process.Stop(0)
		return nil, err
	}
	return s, nil
}

// set enables the audit log of a server that is starting.
func (s *Server) set(ctx context.Context) (err error) {
	if s.Client, err = NewClient(s.URL, "", rootToken); err != nil {
		return err
	}
	ready := func(ctx context.Context) error {
		_, err := s.Client.Auth().Token().LookupSelfWithContext(ctx)
		return err
	}
	if err := s.Process.Await(ctx, ready); err != nil {
		return err
	}
	err = s.Client.Sys().EnableAuditWithOptionsWithContext(ctx, "file", &vault.EnableAuditOptions{
		Type: "file", Options: map[string]string{"file_path": auditLog},
	})
	if err != nil {
		return s.Process.Explain(err)
	}
	return nil
}

// NewClient returns one that does not try again: what fails is to be seen.
func NewClient(url, caFile, token string) (*vault.Client, error) {
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

// AuditLines counts the lines in the audit log.
func (s *Server) AuditLines() (int64, error) { return s.AuditLinesWith("") }

// AuditLinesWith counts those that contain part.
func (s *Server) AuditLinesWith(part string) (int64, error) {
	f, err := os.Open(filepath.Join(s.Data, "audit", auditLog))
	if err != nil {
		return 0, errs.Newf(errs.Unavailable, "opening the audit log: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	lines, err := countLines(f, []byte(part))
	return lines, errs.As(errs.Unavailable, err)
}

// countLines counts the whole lines that contain part.
func countLines(from io.Reader, part []byte) (lines int64, err error) {
	r := bufio.NewReaderSize(from, 1<<20)
	for {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			return lines, nil
		}
		if err != nil {
			return 0, err
		}
		if bytes.Contains(line, part) {
			lines++
		}
	}
}
