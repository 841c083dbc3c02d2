package storetest

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// BenchmarkApply has writers that each write two keys of 300 bytes, durably, in
// an empty store.
func BenchmarkApply(b *testing.B, s store.Store, writers int) {
	value := []byte(strings.Repeat("v", 300))
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				_, err := s.Apply(b.Context(),
					store.Put(fmt.Sprintf("a/%d/%d", w, i), value), store.Put(fmt.Sprintf("b/%d/%d", w, i), value))
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "applies/s")
}
