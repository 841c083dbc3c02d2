package namespace_test

import (
	"fmt"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

// BenchmarkUnsealManyTenants is the time to unseal a vault of 1,000 namespaces
// with five mounts each.
func BenchmarkUnsealManyTenants(b *testing.B) {
	v := testenv.Start(b, nil)
	begin := time.Now()
	for i := range 1000 {
		name := fmt.Sprintf("team-%d", i)
		if _, err := v.Logical().Write("sys/namespaces/"+name, nil); err != nil {
			b.Fatal(err)
		}
		c := in(v, v.Root, name)
		for j := range 5 {
			if err := c.Sys().Mount(fmt.Sprintf("kv-%d", j), &vault.MountInput{Type: "kv-v2"}); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(time.Since(begin).Seconds(), "s/setup")
	for b.Loop() {
		b.StopTimer()
		v.Restart()
		b.StartTimer()
		v.Unseal()
	}
}
