package headers_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit/headers"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// one is a store of one entry.
type one struct{ value []byte }

func (o *one) Get(context.Context, string) (store.Entry, error) {
	if o.value == nil {
		return store.Entry{}, nil
	}
	return store.Entry{Key: headers.Key, Value: o.value, Revision: 1}, nil
}

func (o *one) Put(_ string, value []byte) { o.value = value }

func TestTable(t *testing.T) {
	ctx, s := t.Context(), &one{}
	for name, h := range map[string]bool{"x-b": true, "x-a": false, "cookie": true} {
		if err := headers.Set(ctx, s, name, headers.Setting{HMAC: h}); err != nil {
			t.Fatal(err)
		}
	}
	if err := headers.Set(ctx, s, "authorization", headers.Setting{}); !errs.Is(err, errs.Invalid) {
		t.Errorf("a credential in the clear: %v", err)
	}
	if err := headers.Remove(ctx, s, "cookie"); err != nil {
		t.Fatal(err)
	}
	table, err := headers.Load(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	got := table.Select().Of(map[string][]string{"X-A": {"1", "2"}, "X-B": {"3"}, "Cookie": {"c"}, "X-C": {"4"}})
	if fmt.Sprintf("%+v", got) != "[{Name:x-a Values:[1 2] HMAC:false} {Name:x-b Values:[3] HMAC:true}]" {
		t.Errorf("%+v", got)
	}
	if got := headers.Selection(nil).Of(map[string][]string{"X-A": {"1"}}); got != nil {
		t.Errorf("nothing selects %+v", got)
	}
	for i := range 98 {
		if err := headers.Set(ctx, s, fmt.Sprintf("x-%d", i), headers.Setting{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := headers.Set(ctx, s, "one-more", headers.Setting{}); !errs.Is(err, errs.Exhausted) {
		t.Errorf("a table without end: %v", err)
	}
	s.value = []byte("{")
	if _, err := headers.Load(ctx, s); !errs.Is(err, errs.Internal) {
		t.Errorf("a damaged table: %v", err)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("X-Team")
	f.Add("bad name\n")
	f.Fuzz(func(t *testing.T, name string) {
		clean, err := headers.Clean(name)
		if err != nil {
			return
		}
		again, err := headers.Clean(clean)
		if err != nil || again != clean {
			t.Errorf("%q becomes %q, and that %q %v", name, clean, again, err)
		}
	})
}
