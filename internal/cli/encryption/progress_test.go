package encryption

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/encryption/rewrite"
)

// Where each line stays there is one now and then.
func TestProgress(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1000, 0)
	p := progress{out: &out, now: func() time.Time { return now }}
	for done := range 30 {
		p.tell(rewrite.Progress{Resource: "secrets", Done: done, Total: 30, Rate: 1.2, Left: 90 * time.Second, Width: 3})
		now = now.Add(time.Second)
	}
	p.end()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || lines[2] != "secrets: 20 of 30 objects, 1/s with 3 at once, 1m30s left" {
		t.Errorf("%d lines:\n%s", len(lines), out.String())
	}
}
