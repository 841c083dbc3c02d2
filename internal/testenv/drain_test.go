package testenv_test

import (
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

// A server that is told to end under load answers every request that it has begun: as many
// writes are on record as were answered.
func TestDrain(t *testing.T) {
	v := testenv.Start(t, nil)
	if err := v.Sys().Mount("kv/", &vault.MountInput{Type: "kv"}); err != nil {
		t.Fatal(err)
	}
	const writers, before = 16, 400
	var answered atomic.Int64
	var work sync.WaitGroup
	enough := make(chan struct{})
	var once sync.Once
	for range writers {
		client := v.NewClient(v.Root)
		work.Go(func() {
			for {
				if _, err := client.Logical().Write("kv/load", map[string]any{"v": "1"}); err != nil {
					return // it is gone, and says so before it has begun: what follows counts
				}
				if answered.Add(1) >= before {
					once.Do(func() { close(enough) })
				}
			}
		})
	}
	<-enough
	v.Restart()
	work.Wait()
	raw, err := os.ReadFile(v.AuditFile())
	if err != nil {
		t.Fatal(err)
	}
	recorded := int64(0)
	for line := range strings.Lines(string(raw)) {
		if strings.Contains(line, `"type":"response"`) && strings.Contains(line, `"path":"kv/load"`) {
			recorded++
		}
	}
	if recorded != answered.Load() || recorded < before {
		t.Errorf("%d writes were done, and %d were answered", recorded, answered.Load())
	}
}
