package transit_test

import (
	"testing"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

func BenchmarkWrapAs(b *testing.B) {
	v := testenv.Start(b, nil)
	if err := v.Sys().Mount("transit", &vault.MountInput{Type: "transit"}); err != nil {
		b.Fatal(err)
	}
	write(b, v, "transit/keys/k", nil)
	k, plain := open(b, settings(b, v, "k")), redact.FromString("seed-0123456789-0123456789-01234")
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			blob, err := keystore.Versioned.WrapAs(k, b.Context(), "1", []byte("aad"), plain)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := k.Unwrap(b.Context(), []byte("aad"), blob); err != nil {
				b.Fatal(err)
			}
		}
	})
}
