package gate

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/unsealed"
)

// A request that has waited for what its index stands for is not answered from memory that may not be
// believed any more by then.
func TestSilentWhileCatchingUp(t *testing.T) {
	var b *bench
	begin := func() {
		b = newBenchWith(t, func(c *unsealed.Config) { c.MaxSilence = 2 * time.Second }) // the store gives no sign of life
		b.lab.on("read any/x", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
			return &engine.Response{}, nil
		})
	}
	begin()
	ask := func(index ...string) (*Request, error) {
		req := &Request{ID: "id", Operation: engine.Read, Path: "lab/any/x", Token: b.root, Time: time.Now(), Indexes: index}
		_, err := b.gate.Handle(t.Context(), req)
		return req, err
	}
	now, err := ask()
	for tries := 0; errs.Is(err, errs.Unavailable) && tries < 10; tries++ { // the machine stood still for two seconds
		begin()
		now, err = ask()
	}
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(now.Index)
	if err != nil {
		t.Fatal(err)
	}
	const far = 10_000 // behind what the node itself commits meanwhile
	future := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "v1:%s:%d:%d:", strings.Split(string(raw), ":")[1], far, far))
	answered := make(chan error, 1)
	go func() {
		_, err := ask(future)
		answered <- err
	}()
	for end := time.Now().Add(time.Minute); b.gate.Current() == nil && time.Now().Before(end); {
		<-time.After(time.Millisecond)
	}
	for rev := store.Revision(0); rev < far; {
		if rev, err = b.raw.Apply(t.Context(), store.Put("zz/elsewhere", nil)); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-answered; !errs.Is(err, errs.Unavailable) {
		t.Error("it is answered:", err)
	}
}

// Who a request is for is told when its token was found.
func TestKnown(t *testing.T) {
	b := newBench(t)
	b.lab.on("read any/x", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
		return &engine.Response{}, nil
	})
	var told []string
	req := &Request{ID: "id", Operation: engine.Read, Path: "lab/any/x", Token: b.root, Time: time.Now(), Known: func(id string) { told = append(told, id) }}
	if _, err := b.gate.Handle(t.Context(), req); err != nil || len(told) != 1 || told[0] != "" {
		t.Errorf("of a token without an entity %q is told: %v", told, err)
	}
}
