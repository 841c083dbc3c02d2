package main

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

// server is the vault's server, and the command line that speaks to it.
type server struct {
	binary  string
	dir     string // of its data
	logDir  string
	address string // host:port
	process *process.Process
	token   string // of the root; empty before init
	shares  []string
}

// exitDenied is the exit code of strongkeep for what policy, or a role, forbids
// (docs/cli.md).
const exitDenied = 4

// stopGrace is how long a server may take to end by itself.
const stopGrace = 15 * time.Second

// freeAddress returns an address of host that nobody listens on, with the usual
// port if that is free.
func freeAddress(ctx context.Context, host string) (string, error) {
	var err error
	for _, port := range []string{"8200", "0"} {
		var l net.Listener
		if l, err = new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, port)); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", fmt.Errorf("finding a free port: %w", err)
}

// start starts the server and returns when it answers.
func (s *server) start(ctx context.Context) error {
	var err error
	s.process, err = process.Start(process.Config{
		Name: "server", Path: s.binary, LogDir: s.logDir,
		Args: []string{"server", "-data-dir=" + s.dir, "-listen=" + s.address, "-log-format=json"},
	})
	if err != nil {
		return err
	}
	return s.process.Await(ctx, func(ctx context.Context) error {
		// Its exit code says that the vault is sealed; that it prints a status,
		// that the server answers.
		out, err := s.cli(ctx, "", "status", "-o=json")
		var status struct{ Sealed *bool }
		if json.Unmarshal(out, &status) == nil && status.Sealed != nil {
			return nil
		}
		return err
	})
}

// kill ends the server as a crash would.
func (s *server) kill() { s.process.Stop(0) }

// stop lets the server end by itself, if it runs.
func (s *server) stop() {
	if s.process != nil {
		s.process.Stop(stopGrace)
	}
}

// unseal gives shares, each on standard input, until they are enough.
func (s *server) unseal(ctx context.Context, shares ...string) error {
	var status struct{ Sealed bool }
	for _, share := range shares {
		if err := s.read(ctx, &status, share, "operator", "unseal", "-"); err != nil {
			return err
		}
	}
	if status.Sealed {
		return fmt.Errorf("the vault is sealed after %d shares", len(shares))
	}
	return nil
}

func (s *server) url() string    { return "https://" + s.address }
func (s *server) caFile() string { return filepath.Join(s.dir, "tls", "ca.pem") }

// auditFile is what the default audit device writes.
func (s *server) auditFile() string { return filepath.Join(s.dir, "audit", "audit.log") }

// env is what a person would export to use the server.
func (s *server) env() []string {
	env := []string{"VAULT_ADDR=" + s.url(), "VAULT_CACERT=" + s.caFile()}
	if s.token != "" {
		env = append(env, "VAULT_TOKEN="+s.token)
	}
	return env
}

// cli runs strongkeep and returns its standard output. Secrets go in by stdin,
// never by args.
func (s *server) cli(ctx context.Context, stdin string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), s.env()...)
	cmd.Env = append(cmd.Env, "HOME="+s.dir, "VAULT_MAX_RETRIES=0") // not the user's token; no wait of seconds
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("running strongkeep %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

// read runs strongkeep and decodes the JSON it prints.
func (s *server) read(ctx context.Context, v any, stdin string, args ...string) error {
	out, err := s.cli(ctx, stdin, append(args, "-o=json")...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, v); err != nil {
		return fmt.Errorf("reading what strongkeep %s printed: %w", strings.Join(args, " "), err)
	}
	return nil
}

// all runs commands until one fails.
func (s *server) all(ctx context.Context, commands ...[]string) error {
	for _, args := range commands {
		if _, err := s.cli(ctx, "", args...); err != nil {
			return err
		}
	}
	return nil
}

// client is the official client, for the writers.
func (s *server) client(token string) (*vault.Client, error) {
	config := vault.DefaultConfig()
	config.Address = s.url()
	if err := config.ConfigureTLS(&vault.TLSConfig{CACert: s.caFile()}); err != nil {
		return nil, fmt.Errorf("preparing a client: %w", err)
	}
	c, err := vault.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("preparing a client: %w", err)
	}
	c.SetToken(token)
	return c, nil
}

// exitCode is that of a program that err is about, or -1.
func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}
