package audit

import (
	"testing"
)

func BenchmarkEncodeKVRead(b *testing.B) {
	c := testEncoder(Format{HMACAccessor: true})
	req, resp := sampleEntries()
	b.Run("request", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s := c.get()
			b.SetBytes(int64(len(c.line(s, req))))
			c.put(s)
		}
	})
	b.Run("response", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s := c.get()
			b.SetBytes(int64(len(c.line(s, resp))))
			c.put(s)
		}
	})
}
