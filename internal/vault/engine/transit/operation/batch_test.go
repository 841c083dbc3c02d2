package operation

import (
	"context"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// A batch ends with the request it came in: a large one of slow signatures must
// not go on for a client who has gone.
func TestBatchEndsWithItsRequest(t *testing.T) {
	body, err := engine.ParseBody([]byte(`{"batch_input":[{},{},{},{}]}`))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := 0
	w := work{do: func(o engine.Builder, _ engine.Body) (engine.Builder, error) {
		if done++; done == 2 {
			cancel()
		}
		return o, nil
	}}
	if _, err := w.run(ctx, &engine.Request{Body: body}); !errs.Is(err, errs.Unavailable) || done != 2 {
		t.Errorf("%d items were worked on: %v", done, err)
	}
}
