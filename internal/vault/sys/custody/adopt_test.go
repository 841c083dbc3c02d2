package custody_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/base"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/store/fault"
	"github.com/strongkeep/strongkeep/internal/vault/sys/custody"
)

// desk is custody alone, over a store that fails when it is told to.
type desk struct {
	*testing.T
	routes  []engine.Route
	barrier *seal.Barrier
	store   *fault.Store
	old     []string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{T: t, store: fault.New(base.Open(t))}
	d.barrier = seal.New(seal.Config{Store: d.store})
	made, err := d.barrier.Init(t.Context(), seal.InitConfig{Shares: 2, Threshold: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range made.Shares {
		d.old = append(d.old, hex.EncodeToString(s.Reveal()))
	}
	c := custody.New(custody.Config{Barrier: d.barrier, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	d.routes = c.Routes()
	t.Cleanup(func() {
		c.Close()
		if err := d.barrier.Close(); err != nil {
			t.Error(err)
		}
		d.store.Clear()
		if err := d.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// ask calls a handler, and what it leaves to be done behind the commit if after says so.
func (d *desk) ask(path string, op engine.Operation, body string, after func(*engine.Response) error) (map[string]any, *engine.Response, error) {
	d.Helper()
	at := slices.IndexFunc(d.routes, func(r engine.Route) bool { return r.Pattern == path })
	parsed, err := engine.ParseBody([]byte(body))
	if err != nil {
		d.Fatal(err)
	}
	res, err := d.routes[at].Handlers[op](d.Context(), nil, &engine.Request{ID: fmt.Sprint(time.Now().UnixNano()), Operation: op, Body: parsed})
	if err == nil && res != nil && res.After != nil {
		err = after(res)
	}
	answer := map[string]any{}
	if err == nil && res != nil && res.Data != nil {
		err = json.Unmarshal(res.Data, &answer)
	}
	return answer, res, err
}

func (d *desk) now(r *engine.Response) error { return r.After(d.Context()) }

// complete begins a rekey to one share and gives all old shares.
func (d *desk) complete(after func(*engine.Response) error) (map[string]any, *engine.Response, error) {
	d.Helper()
	begun, _, err := d.ask("rekey/init", engine.Update, `{"secret_shares":1,"secret_threshold":1}`, d.now)
	if err != nil {
		d.Fatal(err)
	}
	body := func(i int) string { return fmt.Sprintf(`{"nonce":%q,"key":%q}`, begun["nonce"], d.old[i]) }
	if _, _, err := d.ask("rekey/update", engine.Update, body(0), d.now); err != nil {
		d.Fatal(err)
	}
	return d.ask("rekey/update", engine.Update, body(1), after)
}

// opens tells whether shares open what lies in the store.
func (d *desk) opens(shares ...string) bool {
	d.Helper()
	d.barrier.Seal()
	for _, share := range shares {
		if s, err := d.barrier.SubmitShare(context.Background(), redact.FromString(share)); err == nil && !s.Sealed {
			return true
		}
	}
	return false
}

// Storage has taken the new shares and does not say so, or is away: whoever waits for them gets them, since nobody else has them.
func TestNewSharesAreShownWhateverStorageSays(t *testing.T) {
	away := errs.New(errs.Unavailable, "no answer")
	for name, c := range map[string]struct {
		rule  fault.Rule
		taken bool
	}{
		"taken": {fault.Rule{Op: fault.Apply, Prefix: seal.ConfigKey, After: true, Err: away}, true},
		"away":  {fault.Rule{Op: fault.Get, Prefix: seal.ConfigKey, Err: away}, false},
	} {
		d := newDesk(t)
		answer, res, err := d.complete(func(r *engine.Response) error {
			d.store.Add(c.rule)
			return r.After(d.Context())
		})
		d.store.Clear()
		if err != nil {
			t.Fatal(name, "the new shares are lost:", err)
		}
		shares, _ := answer["keys"].([]any)
		if len(shares) != 1 || !slices.ContainsFunc(res.Warnings, func(w string) bool { return strings.Contains(w, "keep the old ones") }) {
			t.Fatalf("%s: %d shares, %v", name, len(shares), res.Warnings)
		}
		if c.taken && !d.opens(fmt.Sprint(shares[0])) {
			t.Errorf("%s: what was shown does not open the vault", name)
		}
		if !c.taken && !d.opens(d.old...) {
			t.Errorf("%s: the old shares do not open the vault", name)
		}
	}
}

// Who guesses a nonce is refused from memory: storage is not asked.
func TestGuessesCostNothing(t *testing.T) {
	d := newDesk(t)
	d.store.Add(fault.Rule{Op: fault.Get, Err: errs.New(errs.Unavailable, "no answer")})
	for _, path := range []string{"rekey/update", "generate-root/update"} {
		if _, _, err := d.ask(path, engine.Update, `{"nonce":"x","key":"x"}`, d.now); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Who is told that a rekey was cancelled can trust the old shares, and who is told that it is done the new ones.
func TestCancelledAmidIt(t *testing.T) {
	d := newDesk(t)
	_, _, err := d.complete(func(r *engine.Response) error {
		if _, _, err := d.ask("rekey/init", engine.Delete, "", d.now); err != nil {
			return err
		}
		return r.After(d.Context())
	})
	if !errs.Is(err, errs.Invalid) || !d.opens(d.old...) {
		t.Errorf("it was cancelled, and then: %v; or the old shares do not open the vault", err)
	}
	d = newDesk(t)
	var late error
	hold, held := make(chan struct{}), make(chan struct{})
	answer, _, err := d.complete(func(r *engine.Response) error {
		d.store.Add(fault.Rule{Op: fault.Apply, Prefix: seal.ConfigKey, Times: 1, Hold: hold})
		go func() {
			defer close(held)
			_, _, late = d.ask("rekey/init", engine.Delete, "", func(r *engine.Response) error {
				err := r.After(d.Context())
				close(hold)
				return err
			})
		}()
		return r.After(d.Context())
	})
	<-held
	if cancelled := late == nil; cancelled == (err == nil) {
		t.Errorf("cancelling says %v, and completing %v", late, err)
	}
	if err == nil && !d.opens(fmt.Sprint(answer["keys"].([]any)[0])) {
		t.Error("the new shares do not open the vault")
	}
}
