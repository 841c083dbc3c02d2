package serve_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/kms/conform"
	"github.com/strongkeep/strongkeep/internal/testenv/await"
	"github.com/strongkeep/strongkeep/internal/testenv/buffer"
)

// until waits for what Status answers.
func until(t *testing.T, c *conform.Client, is func(id string, err error) bool) {
	t.Helper()
	await.Until(t, "Status answers as it should", func() bool {
		a, err := c.Status(t.Context())
		return is(a.GetKeyId(), err)
	})
}

// The key file changes under a running plugin: what is in it and cannot be used makes
// it ill and takes nothing from it, and when the file is right again it is well.
func TestKeyFileChanges(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, path string)
		say    string
		kind   errs.Kind
	}{
		"damaged": {func(t *testing.T, path string) { put(t, path, []byte("canary, no key\n"), 0o600) }, "line 1", errs.Unavailable},
		"empty":   {func(t *testing.T, path string) { put(t, path, nil, 0o600) }, "0 bytes are no key", errs.Unavailable},
		"gone": {func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, "no such file", errs.Unavailable},
		"open to all": {func(t *testing.T, path string) {
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
		}, "chmod 0400", errs.Unavailable},
		"another's": {func(t *testing.T, path string) {
			put(t, path, []byte(strings.Repeat("0f", 16)+strings.Repeat("1e", 16)+"\n"), 0o600)
		}, "another first key", errs.Unavailable},
		"without the active key": {func(t *testing.T, path string) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := bytes.Cut(raw, []byte("\n"))
			put(t, path, append(first, '\n'), 0o600)
		}, "rolled back", errs.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			dir, path, log := directory(t), keyFile(t), new(buffer.Buffer)
			if err := file.Add(path, time.Now().Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
			right, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			run(t, config(t, simple+dir+"/kms.sock\npoll: 20ms\nstale_after: 40ms\nactivation_delay: 0s"), open(t, path), log)
			client := dial(t, dir+"/kms.sock")
			var id string
			until(t, client, func(now string, err error) bool { id = now; return err == nil })
			sealed, err := client.Encrypt(t.Context(), []byte("seed"))
			if err != nil {
				t.Fatal(err)
			}
			c.change(t, path)
			until(t, client, func(_ string, err error) bool {
				return errs.Is(err, c.kind) && strings.Contains(err.Error(), c.say)
			})
			if plain, err := client.Decrypt(t.Context(), sealed); (err != nil || string(plain) != "seed") && name != "without the active key" {
				t.Errorf("with the file %s nothing is decrypted any more: %v", name, err)
			}
			put(t, path, right, 0o600)
			until(t, client, func(now string, err error) bool {
				if err == nil && now != id {
					t.Fatalf("key id %s when the file is right again, %s before", now, id)
				}
				return err == nil
			})
			if plain, err := client.Decrypt(t.Context(), sealed); err != nil || string(plain) != "seed" {
				t.Errorf("when the file is right again: %v", err)
			}
			if strings.Contains(log.String(), "canary") {
				t.Error("the log quotes the file")
			}
		})
	}
}

// put writes a file in the place of another at once.
func put(t *testing.T, path string, content []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
