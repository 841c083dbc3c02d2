//go:build linux && cgo

package pkcs11_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/pkcs11test"
	"github.com/strongkeep/strongkeep/internal/kms/conform"
	"github.com/strongkeep/strongkeep/internal/kms/doctor"
	"github.com/strongkeep/strongkeep/internal/kms/serve"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/await"
	"github.com/strongkeep/strongkeep/internal/testenv/buffer"
)

// A vault unseals by a token, also when its key was turned and its program killed, and not
// without it; shares open it then, and it opens by itself when the token is back.
func TestUnseal(t *testing.T) {
	h := pkcs11test.New(t)
	h.Generate("unseal/1", "one", nil)
	h.Write("unseal.json", `{"pkcs11":`+string(h.Settings("unseal", nil))+`}`)
	v := testenv.Start(t, func(c *app.ServerConfig) {
		c.UnsealKeyStore, c.Storage = filepath.Join(h.Dir, "unseal.json"), "pebble"
	})
	sealed := func() bool {
		t.Helper()
		status, err := v.Sys().SealStatus()
		if err != nil {
			t.Fatal(err)
		}
		if status.Type != "pkcs11" {
			t.Errorf("the seal is of type %q", status.Type)
		}
		return status.Sealed
	}
	h.Generate("unseal/2", "two", nil)
	if v.Restart(); sealed() {
		t.Fatal("the vault does not open by its token")
	}
	away := filepath.Join(h.Dir, "away")
	if err := os.Rename(h.Tokens(), away); err != nil {
		t.Fatal(err)
	}
	if v.Restart(); !sealed() {
		t.Fatal("the vault opens without its token")
	}
	if err := os.Rename(away, h.Tokens()); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the vault opens when the token is back", func() bool { return !sealed() })
	h.Delete("unseal/1")
	h.Delete("unseal/2")
	if v.Restart(); !sealed() {
		t.Fatal("the vault opens without its key")
	}
	if v.Unseal(); sealed() {
		t.Fatal("shares do not open the vault")
	}
	if log := v.Log.String(); !strings.Contains(log, "pkcs11:token=") || strings.Contains(log, "canary") {
		t.Error("the log does not say which key, or tells a secret")
	}
}

// node is a plugin whose key is in a token.
type node struct {
	*testing.T
	config string // its file
	key    *pkcs11.Key
	client *conform.Client
	log    buffer.Buffer
}

func serves(t *testing.T, h *pkcs11test.Token, name string) *node {
	t.Helper()
	dir, err := os.MkdirTemp("", "kms") // short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	n := &node{T: t, config: filepath.Join(h.Dir, name+".json"), key: open(t, h.Settings("kubernetes", nil))}
	h.Write(name+".json", `{"name":"cluster","socket":"`+dir+`/kms.sock","poll":"200ms","stale_after":"10m","activation_delay":"0s","key":{"pkcs11":`+string(h.Settings("kubernetes", nil))+`}}`)
	c, err := serve.Load(n.config)
	if err != nil {
		t.Fatal(err)
	}
	s, err := serve.New(t.Context(), c, n.key, slog.New(slog.NewTextHandler(&n.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error("running:", err)
		}
	})
	t.Cleanup(func() { stop(); running.Wait() })
	if n.client, err = conform.Dial(c.Socket); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.client.Close() })
	await.Until(t, "the plugin is healthy", func() bool { return n.id() != "" })
	return n
}

// id is the plugin's key id; "" while it is ill.
func (n *node) id() string {
	a, err := n.client.Status(n.Context())
	if err != nil {
		return ""
	}
	return a.GetKeyId()
}

// Two plugins of one token conform, turn to its new key, decrypt what they encrypted under
// the old one, and go on when their programs are killed. Nothing secret is in their logs.
func TestPlugin(t *testing.T) {
	h := pkcs11test.New(t)
	h.Generate("kubernetes/1", "one", nil)
	one, two := serves(t, h, "one"), serves(t, h, "two")
	socket := func(n *node) string {
		c, err := serve.Load(n.config)
		if err != nil {
			t.Fatal(err)
		}
		return c.Socket
	}
	found, err := conform.Check(t.Context(), conform.Config{Socket: socket(one), Peers: []string{socket(two)}})
	if err != nil || len(found) != 12 {
		t.Fatalf("%d questions are answered: %v", len(found), err)
	}
	for _, f := range found {
		if f.Level == conform.Fail {
			t.Errorf("%s: %s", f.Question, f.Detail)
		}
	}
	before := one.id()
	old, err := one.client.Encrypt(t.Context(), canary.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	h.Generate("kubernetes/2", "two", nil)
	for _, n := range []*node{one, two} {
		await.Until(t, "a plugin turns", func() bool { id := n.id(); return id != "" && id != before })
	}
	if one.id() != two.id() {
		t.Error("two plugins have turned to different keys")
	}
	for _, n := range []*node{one, two} {
		if pid := n.key.PID(); pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if got, err := n.client.Decrypt(t.Context(), old); err != nil || string(got) != canary.RevealString() {
			t.Errorf("what the key before encrypted does not open: %v", err)
		}
	}
	for _, f := range doctor.Check(t.Context(), doctor.Config{File: one.config, Stores: map[string]keystore.Opener{"pkcs11": pkcs11.Open}}) {
		if f.Level == conform.Fail {
			t.Errorf("%s: %s", f.Question, f.Detail)
		}
		if strings.Contains(f.Detail+f.Next, "canary") {
			t.Errorf("%s tells a secret", f.Question)
		}
	}
	if strings.Contains(one.log.String()+two.log.String(), "canary") || one.log.String() == "" {
		t.Error("a secret is in the log, or nothing is")
	}
}
