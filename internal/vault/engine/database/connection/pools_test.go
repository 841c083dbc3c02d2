package connection

import (
	"context"
	"sync"
	"testing"

	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

// closing is a database that tells when it is closed.
type closing struct {
	driver.Database
	closed context.CancelFunc
}

func (c closing) Close() { c.closed() }

// A call gives its database back while the mount ends: it is closed all the same, and
// once. (The race detector looks on.)
func TestPutWhileItEnds(t *testing.T) {
	for range 100 {
		p := newPools()
		ctx, closed := context.WithCancel(t.Context())
		used, err := p.get(&Connection{Name: "db"}, "", func() (driver.Database, error) { return closing{closed: closed}, nil })
		if err != nil {
			t.Fatal(err)
		}
		var caller sync.WaitGroup
		caller.Go(func() { p.put(used) })
		p.close()
		caller.Wait()
		<-ctx.Done()
	}
}
