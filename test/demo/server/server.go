package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/test/cluster/process"
)

// Server is the vault's server, and the command line that speaks to it.
type Server struct {
	Binary  string
	Dir     string // of its data
	LogDir  string // exists; the log is server.log
	Address string // host:port
	Token   string // of the root; empty before init
	Shares  []string

	process *process.Process // nil: never started
}

// ExitDenied is the exit code of strongkeep for what policy, or a role, forbids
// (docs/cli.md).
const ExitDenied = 4

// stopGrace is how long a server may take to end by itself.
const stopGrace = 15 * time.Second

// FreeAddress returns an address of host that nobody listens on, with the usual
// port if that is free.
func FreeAddress(ctx context.Context, host string) (string, error) {
	var err error
	for _, port := range []string{"8200", "0"} {
		var l net.Listener
		if l, err = new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, port)); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", fmt.Errorf("finding a free port: %w", err)
}

// Start starts the server and returns when it answers.
func (s *Server) Start(ctx context.Context) error {
	var err error
	s.process, err = process.Start(process.Config{
		Name: "server", Path: s.Binary, LogDir: s.LogDir,
		Args: []string{"server", "-data-dir=" + s.Dir, "-listen=" + s.Address, "-log-format=json"},
	})
	if err != nil {
		return err
	}
	return s.process.Await(ctx, func(ctx context.Context) error {
		// Its exit code says that the vault is sealed; that it prints a status,
		// that the server answers.
		out, err := s.CLI(ctx, "", "status", "-o=json")
		var status struct{ Sealed *bool }
		if json.Unmarshal(out, &status) == nil && status.Sealed != nil {
			return nil
		}
		return err
	})
}

// Kill ends the server as a crash would.
func (s *Server) Kill() { s.process.Stop(0) }

// Stop lets the server end by itself, if it runs.
func (s *Server) Stop() {
	if s.process != nil {
		s.process.Stop(stopGrace)
	}
}

// Unseal gives shares, each on standard input, until they are enough.
func (s *Server) Unseal(ctx context.Context, shares ...string) error {
	var status struct{ Sealed bool }
	for _, share := range shares {
		if err := s.Read(ctx, &status, share, "operator", "unseal", "-"); err != nil {
			return err
		}
	}
	if status.Sealed {
		return fmt.Errorf("the vault is sealed after %d shares", len(shares))
	}
	return nil
}

// URL is where the server serves.
func (s *Server) URL() string { return "https://" + s.Address }

// CAFile is the certificate of the CA that the server has made for itself.
func (s *Server) CAFile() string { return filepath.Join(s.Dir, "tls", "ca.pem") }

// AuditFile is what the default audit device writes.
func (s *Server) AuditFile() string { return filepath.Join(s.Dir, "audit", "audit.log") }

// env is what a person would export to use the server.
func (s *Server) env() []string {
	env := []string{"VAULT_ADDR=" + s.URL(), "VAULT_CACERT=" + s.CAFile()}
	if s.Token != "" {
		env = append(env, "VAULT_TOKEN="+s.Token)
	}
	return env
}

// CLI runs strongkeep and returns its standard output. Secrets go in by stdin,
// never by args.
func (s *Server) CLI(ctx context.Context, stdin string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.Binary, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), s.env()...)
	cmd.Env = append(cmd.Env, "HOME="+s.Dir, "VAULT_MAX_RETRIES=0") // not the user's token; no wait of seconds
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("running strongkeep %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

// Read runs strongkeep and decodes the JSON it prints.
func (s *Server) Read(ctx context.Context, v any, stdin string, args ...string) error {
	out, err := s.CLI(ctx, stdin, append(args, "-o=json")...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, v); err != nil {
		return fmt.Errorf("reading what strongkeep %s printed: %w", strings.Join(args, " "), err)
	}
	return nil
}

// All runs commands until one fails.
func (s *Server) All(ctx context.Context, commands ...[]string) error {
	for _, args := range commands {
		if _, err := s.CLI(ctx, "", args...); err != nil {
			return err
		}
	}
	return nil
}

// Client is the official client, for the writers.
func (s *Server) Client(token string) (*vault.Client, error) {
	config := vault.DefaultConfig()
	config.Address = s.URL()
	if err := config.ConfigureTLS(&vault.TLSConfig{CACert: s.CAFile()}); err != nil {
		return nil, fmt.Errorf("preparing a client: %w", err)
	}
	c, err := vault.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("preparing a client: %w", err)
	}
	c.SetToken(token)
	return c, nil
}

// ExitCode is that of a program that err is about, or -1.
func ExitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}
