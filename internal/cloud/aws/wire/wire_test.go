package wire

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/smithy-go"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// asked is a backend whose every call takes a second and is remembered.
type asked struct {
	mu    sync.Mutex
	calls [][]string
	now   int
}

func (a *asked) ask(ctx context.Context, keys []string) map[string]string {
	a.mu.Lock()
	a.calls = append(a.calls, keys)
	a.now++
	if a.now > 1 {
		panic("two calls at once")
	}
	a.mu.Unlock()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now--
	answers := map[string]string{}
	for _, key := range keys {
		if key != "unknown" {
			answers[key] = "of " + key
		}
	}
	return answers
}

func TestBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &asked{}
		b := &Batch[string]{Size: 4, Ask: a.ask}
		get := func(ctx context.Context, key, want string, ok bool) {
			if got, has, err := b.Get(ctx, key); err != nil || got != want || has != ok {
				t.Errorf("%s: %q %v (%v), want %q %v", key, got, has, err, want, ok)
			}
		}
		get(t.Context(), "alone", "of alone", true)
		var wg sync.WaitGroup
		wg.Go(func() { get(t.Context(), "first", "of first", true) })
		synctest.Wait()
		for i := range 9 {
			wg.Go(func() { get(t.Context(), fmt.Sprint(i%8), fmt.Sprint("of ", i%8), true) }) // one of them twice
		}
		wg.Go(func() { get(t.Context(), "unknown", "", false) })
		wg.Wait()
		var sizes []int
		for _, c := range a.calls {
			sizes = append(sizes, len(c))
		}
		if len(a.calls) > 5 || len(a.calls) < 4 {
			t.Errorf("12 questions were %d calls: %v", len(a.calls), sizes)
		}
		get(t.Context(), "after", "of after", true)
	})
}

// Who gives up, even when it was its turn to ask, holds nobody else up.
func TestBatchGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &asked{}
		b := &Batch[string]{Size: 2, Ask: a.ask}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				if i%3 == 0 {
					if _, _, err := b.Get(ctx, fmt.Sprint(i)); err != nil && !errs.Is(err, errs.Unavailable) {
						t.Error(err)
					}
					return
				}
				if got, ok, err := b.Get(t.Context(), fmt.Sprint(i)); err != nil || !ok || got != fmt.Sprint("of ", i) {
					t.Errorf("%d: %q %v (%v)", i, got, ok, err)
				}
			})
		}
		synctest.Wait()
		time.Sleep(1500 * time.Millisecond)
		cancel()
		wg.Wait()
		if _, ok, err := b.Get(t.Context(), "last"); !ok || err != nil {
			t.Errorf("afterwards: %v (%v)", ok, err)
		}
	})
}

func TestPages(t *testing.T) {
	text := func(s string) *string { return &s }
	var p Pages
	for _, c := range []struct {
		token *string
		end   bool
		err   bool
	}{{text("a"), false, false}, {text("b"), false, false}, {text("b"), false, true}, {text(""), true, false}, {nil, true, false}} {
		next, err := p.Next(c.token)
		if (err != nil) != c.err || err == nil && (next == nil) != c.end {
			t.Errorf("%v: %v (%v)", c.token, next, err)
		}
	}
	var long Pages
	var err error
	for i := 0; err == nil && i < 2*maxPages; i++ {
		_, err = long.Next(text(fmt.Sprint(i)))
	}
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("a search without end: %v", err)
	}
	if errs.Is(Cut(errs.New(errs.NotExist, "x")), errs.NotExist) {
		t.Error("a search that was cut short looks like a deletion")
	}
}

// What a server says reaches a message on one line, bounded, and only where it
// cannot quote what was sent.
func FuzzFail(f *testing.F) {
	f.Add("AccessDeniedException", "User: x is not authorized\n to perform")
	f.Add("SignatureDoesNotMatch", "x-amz-security-token:canary")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, code, message string) {
		err := Fail("reading", fmt.Errorf("wrapped: %w", &smithy.GenericAPIError{Code: code, Message: message}))
		text := err.Error()
		if len(text) > 700 || strings.ContainsAny(text, "\n\r\x00\x1b") {
			t.Errorf("%q", text)
		}
		if errs.Is(err, errs.Internal) || !strings.HasPrefix(text, "reading") {
			t.Errorf("%q is %v", text, errs.KindOf(err))
		}
		if Stale(err) && len(message) > 8 && strings.Contains(text, message) {
			t.Errorf("%q quotes the answer", text)
		}
	})
}

func TestFail(t *testing.T) {
	if Fail("x", nil) != nil {
		t.Error("no failure")
	}
	for _, err := range []error{errors.New("canary"), context.DeadlineExceeded, fmt.Errorf("x: %w", context.Canceled)} {
		if got := Fail("reading", err); !errs.Is(got, errs.Unavailable) || strings.Contains(got.Error(), "canary") {
			t.Errorf("%v: %v", err, got)
		}
	}
}
