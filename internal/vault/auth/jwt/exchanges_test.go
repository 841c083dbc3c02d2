package jwt

import (
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// What a code bought is kept while its request may be run again; what failed is
// not, for anybody can make that fail as often as they like.
func TestExchangesKeepNoFailures(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	x := exchanges{now: func() time.Time { return now }}
	refused := errs.New(errs.Denied, "no")
	for _, id := range []string{"a", "b", "c"} {
		if _, err := x.do(id, func() (claims, error) { return nil, refused }); !errs.Is(err, errs.Denied) {
			t.Error(err)
		}
	}
	if len(x.done) != 0 {
		t.Errorf("%d failures are kept", len(x.done))
	}
	bought := 0
	buy := func() (claims, error) { bought++; return claims{"sub": "ann"}, nil }
	for range 3 {
		if c, err := x.do("d", buy); err != nil || c["sub"] != "ann" {
			t.Error(c, err)
		}
	}
	if bought != 1 {
		t.Errorf("one request bought %d times", bought)
	}
	now = now.Add(2 * time.Minute)
	if _, err := x.do("e", buy); err != nil || len(x.done) != 1 {
		t.Errorf("%d are kept, %v", len(x.done), err)
	}
}
