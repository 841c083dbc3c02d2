package serve_test

import (
	"io"
	"testing"

	"github.com/strongkeep/strongkeep/internal/redact"
)

// A call over the socket: what the plugin does itself is a small part of it.
func BenchmarkCalls(b *testing.B) {
	c := config(b, simple+directory(b)+"/kms.sock")
	s, _ := run(b, c, open(b, keyFile(b)), io.Discard)
	client := dial(b, c.Socket)
	sealed, err := client.Encrypt(b.Context(), []byte(long))
	if err != nil {
		b.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Status":  func() error { _, err := client.Status(b.Context()); return err },
		"Encrypt": func() error { _, err := client.Encrypt(b.Context(), []byte(long)); return err },
		"Decrypt": func() error { _, err := client.Decrypt(b.Context(), sealed); return err },
		"Encrypt without a socket": func() error {
			_, err := s.Plugin.Encrypt(b.Context(), redact.FromString(long))
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
