package audit

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func BenchmarkEncodeKVRead(b *testing.B) {
	c := testEncoder(Format{HMACAccessor: true})
	req, resp := sampleEntries()
	b.Run("request", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s := c.Get()
			b.SetBytes(int64(len(c.line(s, req))))
			c.Put(s)
		}
	})
	b.Run("response", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s := c.Get()
			b.SetBytes(int64(len(c.line(s, resp))))
			c.Put(s)
		}
	})
}

// BenchmarkHostileBody is the price of the worst body: 32 MiB of tiny strings.
func BenchmarkHostileBody(b *testing.B) {
	c := testEncoder(Format{HMACAccessor: true})
	e := &Entry{Type: TypeRequest, Request: &Request{Data: jsontext.Value(`[""` + strings.Repeat(`,""`, 32<<20/3) + `]`)}}
	b.SetBytes(int64(len(e.Request.Data)))
	for b.Loop() {
		s := c.Get()
		c.line(s, e)
		c.Put(s)
	}
}
