package gate

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// sys/seal and sys/rotate do their work outside the transaction: without a
// durable line of the request they must not do it.
func TestSystemActsAreOnRecordFirst(t *testing.T) {
	b := newBench(t)
	acted := false
	b.lab.on("update known/act", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
		acted = true
		return nil, nil
	})
	b.audit.breakWith(errors.New("no space left"))
	if _, err := b.do(engine.Update, "sys/known/act", b.root); !errs.Is(err, errs.Unavailable) || acted {
		t.Errorf("without an audit line: %v, acted %v", err, acted)
	}
	b.audit.breakWith(nil)
	if _, err := b.do(engine.Update, "sys/known/act", b.root); err != nil || !acted {
		t.Errorf("with an audit line: %v, acted %v", err, acted)
	}
}

// A request whose handler panicked was made all the same, and must have both lines.
func TestPanicIsOnRecord(t *testing.T) {
	b := newBench(t)
	b.lab.on("read ro/x", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
		panic("canary-of-a-panic")
	})
	if _, err := b.do(engine.Read, "lab/ro/x", b.root); !errs.Is(err, errs.Internal) || strings.Contains(err.Error(), "canary") {
		t.Errorf("the caller got %v", err)
	}
	if got, want := strings.Join(b.audit.of("lab/ro/x"), "|"), "request read|response read internal error"; got != want {
		t.Errorf("lines are %q, want %q", got, want)
	}
}
