package errs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestEveryKindHasARow(t *testing.T) {
	for k := Kind(0); k < kindCount; k++ {
		r := table[k]
		if r.name == "" || r.reason == "" || http.StatusText(r.http) == "" || r.exit == 0 || r.grpc == 0 {
			t.Errorf("kind %d: incomplete row %+v", k, r)
		}
	}
	if got := Kind(200).HTTPStatus(); got != 500 {
		t.Errorf("a kind outside the list answers %d, want 500", got)
	}
}

func TestKindOf(t *testing.T) {
	base := New(NotExist, "no such secret")
	for name, c := range map[string]struct {
		err  error
		want Kind
		text string
	}{
		"nil":                {nil, Internal, ""},
		"plain":              {errors.New("x"), Internal, "x"},
		"new":                {base, NotExist, "no such secret"},
		"wrapped by fmt":     {fmt.Errorf("reading %q: %w", "a", base), NotExist, `reading "a": no such secret`},
		"outermost wins":     {Newf(Unavailable, "asking the store: %w", base), Unavailable, "asking the store: no such secret"},
		"formatted":          {Newf(Invalid, "field %q", "a"), Invalid, `field "a"`},
		"as":                 {As(Denied, errors.New("x")), Denied, "x"},
		"deadline":           {fmt.Errorf("x: %w", context.DeadlineExceeded), Unavailable, "x: context deadline exceeded"},
		"cancelled, classed": {As(Conflict, context.Canceled), Conflict, "context canceled"},
	} {
		if got := KindOf(c.err); got != c.want {
			t.Errorf("%s: kind %v, want %v", name, got, c.want)
		}
		if c.err != nil && c.err.Error() != c.text {
			t.Errorf("%s: text %q, want %q", name, c.err, c.text)
		}
	}
	if Is(nil, Internal) {
		t.Error("nil is of no kind")
	}
	if As(Denied, nil) != nil {
		t.Error("As(nil) must be nil")
	}
	if !errors.Is(Newf(Denied, "a: %w", base), base) {
		t.Error("wrapping lost the cause")
	}
}

// What a handler panics with may be a secret; what the runtime says never is.
func TestPanicked(t *testing.T) {
	panicked := func(f func()) (err error) {
		defer func() { err = Panicked(recover()) }()
		f()
		return nil
	}
	err := panicked(func() { panic("canary") })
	if !Is(err, Internal) || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "errs_test.go") {
		t.Errorf("a panic of a handler's own: %v", err)
	}
	if err := panicked(func() { _ = []int{}[len(t.Name())] }); !strings.Contains(err.Error(), "index out of range") {
		t.Errorf("a panic of the runtime: %v", err)
	}
}
