package chain

import (
	"bytes"
	"testing"

	"github.com/strongkeep/strongkeep/internal/redact"
)

// BenchmarkExtend is what the chain adds to one line of 900 bytes, in groups of 64.
func BenchmarkExtend(b *testing.B) {
	l, err := New(Config{Name: "file/", Key: redact.New(make([]byte, 32))})
	if err != nil {
		b.Fatal(err)
	}
	line := append(bytes.Repeat([]byte("x"), 899), '\n')
	group := bytes.Repeat(line, 64)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		for range 1 { // a loop's turn is a group
			if _, err := l.Extend(group); err != nil {
				b.Fatal(err)
			}
			l.Settle(nil)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/line")
}
