package sshkey_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator/generatortest"
	"github.com/strongkeep/strongkeep/internal/kube/generator/sshkey"
)

func TestSuite(t *testing.T) {
	generatortest.Run(t, generatortest.Subject{
		Kind: sshkey.New(), Spec: `{"keyType":"ed25519"}`, Keys: []string{"privateKey", "publicKey"},
	})
}

// The two keys belong together, and OpenSSH's readers take both.
func TestPairs(t *testing.T) {
	for spec, want := range map[string]string{
		`{}`:                                           "ssh-rsa",
		`{"keyType":"rsa","keySize":3072}`:             "ssh-rsa",
		`{"keyType":"ecdsa"}`:                          "ecdsa-sha2-nistp256",
		`{"keyType":"ecdsa","keySize":521}`:            "ecdsa-sha2-nistp521",
		`{"keyType":"ed25519","keySize":256}`:          "ssh-ed25519",
		`{"keyType":"ed25519","comment":"me@example"}`: "ssh-ed25519",
	} {
		made, err := sshkey.New().Generate(t.Context(), generatortest.Config(nil, spec))
		if err != nil {
			t.Fatalf("%s: %v", spec, err)
		}
		signer, err := ssh.ParsePrivateKey(made.Data["privateKey"].Reveal())
		if err != nil {
			t.Fatalf("%s: %v", spec, err)
		}
		public, comment, _, rest, err := ssh.ParseAuthorizedKey(made.Data["publicKey"].Reveal())
		if err != nil || len(rest) > 0 {
			t.Fatalf("%s: %v", spec, err)
		}
		if public.Type() != want || !bytes.Equal(public.Marshal(), signer.PublicKey().Marshal()) {
			t.Errorf("%s: a key of type %s that belongs to another", spec, public.Type())
		}
		if strings.Contains(spec, "me@example") != (comment == "me@example") {
			t.Errorf("%s: comment %q", spec, comment)
		}
	}
}

func TestRefusals(t *testing.T) {
	for spec, words := range map[string]string{
		`{"keyType":"dsa"}`:                 "spec.keyType",
		`{"keySize":1024}`:                  "from 2048",
		`{"keySize":65536}`:                 "to 8192",
		`{"keyType":"ecdsa","keySize":512}`: "256, 384 or 521",
		`{"comment":"two\nlines"}`:          "one line",
	} {
		if _, err := sshkey.New().Generate(t.Context(), generatortest.Config(nil, spec)); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q", spec, err, words)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	busy := sshkey.New()
	if _, err := busy.Generate(ctx, generatortest.Config(nil, `{"keyType":"ed25519"}`)); err != nil && !errs.Is(err, errs.Unavailable) {
		t.Error(err)
	}
}
