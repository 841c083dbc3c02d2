package conform_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	v2 "k8s.io/kms/apis/v2"

	"github.com/strongkeep/strongkeep/internal/kms/conform"
	"github.com/strongkeep/strongkeep/internal/vault/seal/box"
)

// plugin is a right one with one fault.
type plugin struct {
	v2.UnimplementedKeyManagementServiceServer
	box   box.Box
	fault string
	fails atomic.Bool // from now on with everything
}

func (p *plugin) has(fault string) bool { return p.fault == fault }

func (p *plugin) Status(context.Context, *v2.StatusRequest) (*v2.StatusResponse, error) {
	a := &v2.StatusResponse{Version: "v2", Healthz: "ok", KeyId: "key"}
	switch p.fault {
	case "status errs":
		return nil, status.Error(codes.Unavailable, "away")
	case "version":
		a.Version = "v1beta1"
	case "healthz":
		a.Healthz = "ill"
	case "no key id":
		a.KeyId = ""
	case "long key id":
		a.KeyId = strings.Repeat("k", 1024)
	case "key id of its own":
		a.KeyId = "status"
	}
	return a, nil
}

func (p *plugin) Encrypt(_ context.Context, r *v2.EncryptRequest) (*v2.EncryptResponse, error) {
	if len(r.GetPlaintext()) == 0 && p.has("away when asked for nothing") {
		return nil, status.Error(codes.Unavailable, "away")
	}
	if len(r.GetPlaintext()) == 0 && !p.has("encrypts nothing") {
		return nil, status.Error(codes.InvalidArgument, "nothing")
	}
	a := &v2.EncryptResponse{KeyId: "key", Annotations: map[string][]byte{"a.example.com": []byte("1")}}
	a.Ciphertext = p.box.Append(nil, []byte("key"), r.GetPlaintext())
	switch p.fault {
	case "plain":
		a.Ciphertext = append([]byte("x"), r.GetPlaintext()...)
	case "long ciphertext":
		a.Ciphertext = append(a.Ciphertext, make([]byte, 1024)...)
	case "bad annotation":
		a.Annotations = map[string][]byte{"Not A Domain": []byte("1")}
	case "huge annotation":
		a.Annotations = map[string][]byte{"a.example.com": make([]byte, 32<<10)}
	}
	return a, nil
}

// Decrypt refuses what is wrong, or does so as its fault has it.
func (p *plugin) Decrypt(ctx context.Context, r *v2.DecryptRequest) (*v2.DecryptResponse, error) {
	if p.fails.Load() {
		return nil, errors.New("broken")
	}
	answer, err := p.decrypt(ctx, r)
	if err == nil {
		return answer, nil
	}
	switch p.fault {
	case "away when asked wrongly":
		return nil, status.Error(codes.Unavailable, "away")
	case "busy when asked wrongly":
		return nil, status.Error(codes.ResourceExhausted, "busy")
	case "broken when asked wrongly":
		p.fails.Store(true)
	case "no code":
		return nil, errors.New("wrong")
	}
	return nil, err
}

func (p *plugin) decrypt(_ context.Context, r *v2.DecryptRequest) (*v2.DecryptResponse, error) {
	wrong := status.Error(codes.InvalidArgument, "wrong")
	if r.GetKeyId() != "key" && !p.has("any key id") {
		return nil, wrong
	}
	if !p.has("any annotation") && (len(r.GetAnnotations()) != 1 || !bytes.Equal(r.GetAnnotations()["a.example.com"], []byte("1"))) && !strings.HasSuffix(p.fault, " annotation") {
		return nil, wrong
	}
	if p.has("decrypts nothing") && len(r.GetCiphertext()) == 0 {
		return &v2.DecryptResponse{}, nil
	}
	plain, err := p.box.Open([]byte("key"), r.GetCiphertext())
	switch {
	case p.has("garbage"):
		return &v2.DecryptResponse{Plaintext: []byte("garbage")}, nil
	case err != nil && p.has("garbage for what was changed"):
		return &v2.DecryptResponse{Plaintext: []byte("garbage")}, nil
	case err != nil:
		return nil, wrong
	}
	return &v2.DecryptResponse{Plaintext: plain}, nil
}

func serve(t *testing.T, fault string) string {
	t.Helper()
	key := make([]byte, box.KeySize)
	_, _ = rand.Read(key)
	b, err := box.New(key)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "kms")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	v2.RegisterKeyManagementServiceServer(s, &plugin{box: b, fault: fault})
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return socket
}

func failures(t *testing.T, cfg conform.Config) []string {
	t.Helper()
	found, err := conform.Check(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	var failed []string
	for _, f := range found {
		if f.Level == conform.Fail {
			failed = append(failed, f.Question+": "+f.Detail)
		}
	}
	return failed
}

// That a plugin says no in words alone is no fault.
func TestRightPlugin(t *testing.T) {
	for _, fault := range []string{"", "no code"} {
		if failed := failures(t, conform.Config{Socket: serve(t, fault)}); len(failed) > 0 {
			t.Errorf("a right plugin (%s) fails: %q", fault, failed)
		}
	}
}

func TestEachFaultIsFound(t *testing.T) {
	for fault, say := range map[string]string{
		"status errs":                  "Unavailable",
		"version":                      "not v2",
		"healthz":                      `healthz is "ill"`,
		"no key id":                    "key id has 0 bytes",
		"long key id":                  "key id has 1024 bytes",
		"key id of its own":            `the key id is "key", and of Status "status"`,
		"plain":                        "in the ciphertext",
		"long ciphertext":              "the ciphertext of 32 bytes has",
		"garbage":                      "something else comes back",
		"garbage for what was changed": "byte 0 changed is decrypted",
		"any key id":                   `with key id "" is decrypted`,
		"any annotation":               "without annotations is decrypted",
		"bad annotation":               "is no domain name",
		"huge annotation":              "annotations have",
		"encrypts nothing":             "nothing is encrypted",
		"decrypts nothing":             "an empty ciphertext is decrypted",
		"away when asked wrongly":      "byte 0 changed is neither decrypted nor refused: Decrypt: Unavailable",
		"busy when asked wrongly":      "neither decrypted nor refused: Decrypt: ResourceExhausted",
		"broken when asked wrongly":    "does not decrypt what is right either: Decrypt: Unknown",
		"away when asked for nothing":  "nothing is neither encrypted nor refused: Encrypt: Unavailable",
	} {
		t.Run(fault, func(t *testing.T) {
			failed := failures(t, conform.Config{Socket: serve(t, fault)})
			if len(failed) == 0 || !strings.Contains(strings.Join(failed, "\n"), say) {
				t.Errorf("found %q, want %q", failed, say)
			}
		})
	}
}

// Two plugins with two keys under one id are found by what they encrypt.
func TestPeerWithAnotherKey(t *testing.T) {
	failed := failures(t, conform.Config{Socket: serve(t, ""), Peers: []string{serve(t, "")}})
	if len(failed) != 1 || !strings.Contains(failed[0], "is not decrypted here") {
		t.Errorf("found %q", failed)
	}
}

func TestNobodyThere(t *testing.T) {
	if failed := failures(t, conform.Config{Socket: filepath.Join(t.TempDir(), "none")}); len(failed) != 1 {
		t.Errorf("found %q", failed)
	}
}
