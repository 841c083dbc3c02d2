package serve_test

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/transit"
	"github.com/strongkeep/strongkeep/internal/kms/conform"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

// rate of the calls that are measured, per second.
const rate = 1000

// paced calls f at the rate, whether or not earlier calls have ended, and reports the
// 99th percentile.
func paced(b *testing.B, f func() error) {
	b.Helper()
	took := make([]time.Duration, b.N)
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	var all sync.WaitGroup
	b.ResetTimer()
	for i := range took {
		due := <-tick.C
		all.Go(func() {
			if err := f(); err != nil {
				b.Error(err)
			}
			took[i] = time.Since(due)
		})
	}
	all.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// measure runs the three calls of a plugin with a key.
func measure(b *testing.B, key keystore.Versioned) {
	b.Helper()
	dir, err := os.MkdirTemp("", "kms")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	c := config(b, simple+dir+"/s")
	run(b, c, key, io.Discard)
	client, err := conform.Dial(c.Socket)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = client.Close() })
	seed := make([]byte, 32)
	seed[0] = 1
	sealed, err := client.Encrypt(b.Context(), seed)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("Status", func(b *testing.B) { paced(b, func() error { _, err := client.Status(b.Context()); return err }) })
	b.Run("Encrypt", func(b *testing.B) { paced(b, func() error { _, err := client.Encrypt(b.Context(), seed); return err }) })
	b.Run("Decrypt", func(b *testing.B) {
		paced(b, func() error { _, err := client.Decrypt(b.Context(), sealed); return err })
	})
}

func BenchmarkLocal(b *testing.B) { measure(b, open(b, keyFile(b))) }

func BenchmarkTransit(b *testing.B) {
	v := testenv.Start(b, nil)
	if err := v.Sys().Mount("transit", &vault.MountInput{Type: "transit"}); err != nil {
		b.Fatal(err)
	}
	if _, err := v.Logical().Write("transit/keys/k", nil); err != nil {
		b.Fatal(err)
	}
	token := filepath.Join(b.TempDir(), "token")
	if err := os.WriteFile(token, []byte(v.Root), 0o600); err != nil {
		b.Fatal(err)
	}
	raw, err := json.Marshal(transit.Settings{Address: v.Server.URL(), CAFile: v.Server.CAFile(), Key: "k", Auth: transit.Auth{TokenFile: token}})
	if err != nil {
		b.Fatal(err)
	}
	key, err := transit.Open(raw)
	if err != nil {
		b.Fatal(err)
	}
	measure(b, key)
}
