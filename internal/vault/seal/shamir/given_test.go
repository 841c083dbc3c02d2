package shamir

import (
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// The same share again is told and not counted; one that contradicts another drops all.
func TestGiven(t *testing.T) {
	_, shares, err := Deal(3, 2)
	if err != nil {
		t.Fatal(err)
	}
	copied := func(s redact.Secret) redact.Secret { return redact.New(append([]byte(nil), s.Reveal()...)) }
	var g Given
	for i, c := range []struct {
		share redact.Secret
		again bool
		n     int
	}{{shares[0], false, 1}, {shares[0], true, 1}, {shares[1], false, 2}, {shares[0], true, 2}, {shares[1], true, 2}} {
		if again, err := g.Add(copied(c.share)); err != nil || again != c.again || g.Len() != c.n {
			t.Errorf("%d: again %v, %d are there, %v", i, again, g.Len(), err)
		}
	}
	if all := g.Shares(); len(all) != 2 || !all[0].Equal(shares[0]) || !all[1].Equal(shares[1]) {
		t.Error("these are other shares")
	}
	wrong := copied(shares[1])
	wrong.Reveal()[5] ^= 1
	if _, err := g.Add(wrong); !errs.Is(err, errs.Invalid) || g.Len() != 0 {
		t.Errorf("a contradiction: %v, %d are there", err, g.Len())
	}
	if again, err := g.Add(copied(shares[1])); again || err != nil {
		t.Error(again, err)
	}
	if all := g.Take(); len(all) != 1 || !all[0].Equal(shares[1]) || g.Len() != 0 {
		t.Error("what was taken is not what was given")
	}
}
