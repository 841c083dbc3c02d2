package expiry

import (
	"slices"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func TestKeysSortByTime(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	refs := []Ref{
		{"k", "z", at(-5)}, {"k", "b", at(9)}, {"k", "a", at(10)}, {"k", "0", at(99)}, {"k", "0", at(1_700_000_000)},
		{"k", "A", at(1_700_000_001)}, {"k", "0", at(99_999_999_999)},
	}
	var keys []string
	for _, r := range refs {
		keys = append(keys, r.Key())
	}
	if !slices.IsSorted(keys) {
		t.Errorf("%q", keys)
	}
	if want := "lease/due/k/001700000000-0"; keys[4] != want {
		t.Errorf("%q, want %q", keys[4], want)
	}
}

// Nothing may be handled before its time: fractions of a second go up.
func TestDueIsRoundedUp(t *testing.T) {
	for in, want := range map[time.Time]int64{time.Unix(5, 0): 5, time.Unix(5, 1): 6, time.Unix(5, 999_999_999): 6} {
		ref, err := Parse("k", Ref{"k", "id", in}.name())
		if err != nil || ref.Due.Unix() != want || ref.ID != "id" || ref.Kind != "k" {
			t.Errorf("%v: %+v, %v", in, ref, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("001700000000-id")
	f.Add("001700000000-")
	f.Add("-00000000001-id")
	f.Add("x")
	f.Fuzz(func(t *testing.T, name string) {
		ref, err := Parse("k", name)
		if err != nil {
			if !errs.Is(err, errs.Internal) {
				t.Errorf("kind of %v", err)
			}
			return
		}
		if ref.name() != name {
			t.Errorf("%q became %q", name, ref.name())
		}
	})
}

func TestAttempts(t *testing.T) {
	for _, c := range []struct {
		value []byte
		want  uint64
	}{{nil, 0}, {[]byte{1, 0}, 0}, {[]byte{1, 5}, 5}, {[]byte{2, 5}, 0}, {[]byte{1, 0x80}, 0}} {
		if got := attempts(c.value); got != c.want {
			t.Errorf("attempts(%v) = %d, want %d", c.value, got, c.want)
		}
	}
}
