package kms

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/kms/conform"
	"github.com/strongkeep/strongkeep/test/bench/figure"
	"github.com/strongkeep/strongkeep/test/bench/rig"
)

// What is promised, in milliseconds, of 99 of 100 calls.
const (
	boundStatus  = 1.0
	boundLocal   = 2.0
	boundTransit = 10.0
)

// seed is as long as what API servers have encrypted.
var seed = []byte("bench-seed-0123456789-0123456789")

// Measure runs a plugin with a key file, and one over the transit engine of a vault
// on this machine.
func Measure(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	dir, err := os.MkdirTemp(b.Dir, "k") // 0700: who shares its directory refuses to start
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "making a folder for the plugin: %w", err)
	}
	w := world{Rig: b, dir: dir}
	end, err := w.reference(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	local, err := w.local(ctx)
	if err != nil {
		return nil, err
	}
	remote, err := w.transit(ctx)
	return append(local, remote...), err
}

type world struct {
	*rig.Rig
	dir   string
	empty subject // what plugins are measured beside
}

// reference starts the plugin that does nothing.
func (w *world) reference(ctx context.Context) (end func(), err error) {
	socket := filepath.Join(w.dir, "empty.sock")
	p, err := w.Start("kms-empty", w.Self, "-serve-empty-plugin", socket)
	if err != nil {
		return nil, err
	}
	c, err := conform.Dial(socket)
	if err != nil {
		p.Stop(0)
		return nil, err
	}
	w.empty = subject{"an empty handler", status(c)}
	if err := p.Await(ctx, w.empty.call); err != nil {
		p.Stop(0)
		return nil, err
	}
	return func() { _ = c.Close(); p.Stop(10 * time.Second) }, nil
}

func status(c *conform.Client) func(context.Context) error {
	return func(ctx context.Context) error { _, err := c.Status(ctx); return err }
}

// local measures a plugin whose key is in a file.
func (w world) local(ctx context.Context) ([]figure.Figure, error) {
	path := filepath.Join(w.dir, "key")
	if _, err := file.Generate(path); err != nil {
		return nil, err
	}
	return w.plugin(ctx, "file", "{file: {path: "+path+"}}", func(c *conform.Client) ([]figure.Figure, error) {
		return w.both(ctx, c, "kms", boundLocal)
	})
}

// transit measures one whose key is in a vault, and Status, of which the vault must
// not hear.
func (w world) transit(ctx context.Context) ([]figure.Figure, error) {
	s, err := w.StartDev(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Process.Stop(10 * time.Second)
	token := filepath.Join(w.dir, "token")
	if err := prepare(ctx, s, token); err != nil {
		return nil, s.Process.Explain(err)
	}
	key := fmt.Sprintf("{transit: {address: %q, key: bench, auth: {token_file: %s}}}", s.URL, token)
	return w.plugin(ctx, "transit", key, func(c *conform.Client) ([]figure.Figure, error) {
		before, err := s.AuditLines()
		if err != nil {
			return nil, err
		}
		got, err := w.compare(ctx, w.empty, subject{"Status", status(c)})
		if err != nil {
			return nil, err
		}
		after, err := s.AuditLines()
		if err != nil {
			return nil, err
		}
		if more := after - before; more > int64(got[1].calls)/100 { // the plugin's own polls have some
			return nil, errs.Newf(errs.Internal, "%d calls of Status have put %d lines into the vault's audit log: they ask it", got[1].calls, more)
		}
		both, err := w.both(ctx, c, "kms-transit", boundTransit)
		return append([]figure.Figure{figure.Within(boundStatus, "kms-status-p99", got[1].p99, "ms")}, both...), err
	})
}

// prepare makes a key, and a token in a file that may use it and no more.
func prepare(ctx context.Context, s *rig.Server, path string) error {
	if err := s.Client.Sys().MountWithContext(ctx, "transit", &vault.MountInput{Type: "transit"}); err != nil {
		return err
	}
	if _, err := s.Client.Logical().WriteWithContext(ctx, "transit/keys/bench", nil); err != nil {
		return err
	}
	const policy = `
path "transit/keys/bench"    { capabilities = ["read"] }
path "transit/encrypt/bench" { capabilities = ["update"] }
path "transit/decrypt/bench" { capabilities = ["update"] }`
	if err := s.Client.Sys().PutPolicyWithContext(ctx, "kms", policy); err != nil {
		return err
	}
	made, err := s.Client.Auth().Token().CreateWithContext(ctx, &vault.TokenCreateRequest{Policies: []string{"kms"}})
	if err != nil {
		return err
	}
	return errs.As(errs.Unavailable, os.WriteFile(path, []byte(made.Auth.ClientToken), 0o600))
}

// plugin runs one with a key while f asks it.
func (w world) plugin(ctx context.Context, name, key string, f func(*conform.Client) ([]figure.Figure, error)) ([]figure.Figure, error) {
	socket, config := filepath.Join(w.dir, name+".sock"), filepath.Join(w.dir, name+".yaml")
	address, err := rig.FreeAddress()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(config, []byte("name: bench\nsocket: "+socket+"\nlisten: "+address+"\nkey: "+key+"\n"), 0o600); err != nil {
		return nil, errs.Newf(errs.Unavailable, "writing the plugin's configuration: %w", err)
	}
	p, err := w.Start("kms-"+name, w.Binary, "kms", "run", "-config="+config)
	if err != nil {
		return nil, err
	}
	defer p.Stop(10 * time.Second)
	c, err := conform.Dial(socket)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	if err := p.Await(ctx, status(c)); err != nil {
		return nil, err
	}
	w.Say("  %s:", name)
	figures, err := f(c)
	if err == nil {
		err = w.own(ctx, address, "Status", "Encrypt", "Decrypt")
	}
	if err != nil {
		return nil, p.Explain(err)
	}
	return figures, nil
}

// both measures Encrypt and Decrypt.
func (w world) both(ctx context.Context, c *conform.Client, name string, bound float64) ([]figure.Figure, error) {
	sealed, err := c.Encrypt(ctx, seed)
	if err != nil {
		return nil, err
	}
	encrypt := func(ctx context.Context) error { _, err := c.Encrypt(ctx, seed); return err }
	decrypt := func(ctx context.Context) error {
		plain, err := c.Decrypt(ctx, sealed)
		if err == nil && string(plain) != string(seed) {
			err = errs.New(errs.Internal, "the plugin decrypts to something else")
		}
		return err
	}
	got, err := w.compare(ctx, w.empty, subject{"Encrypt", encrypt}, subject{"Decrypt", decrypt})
	if err != nil {
		return nil, err
	}
	return []figure.Figure{
		figure.Within(bound, name+"-encrypt-p99", got[1].p99, "ms"),
		figure.Within(bound, name+"-decrypt-p99", got[2].p99, "ms"),
	}, nil
}
