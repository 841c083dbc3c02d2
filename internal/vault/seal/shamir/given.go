package shamir

import (
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Twice is what people are told whose share is there already.
const Twice = "this share is the same as one that was given before, and counts once: give another one"

// Given is shares of one set that people have given so far. It belongs to one goroutine at a time; its zero
// value has none.
type Given struct{ shares []redact.Secret }

// Add takes a share, which is g's then. again: it is there already, and is not counted twice. Kind: Invalid,
// for one that contradicts another: one of the two is wrong, and all are dropped.
func (g *Given) Add(share redact.Secret) (again bool, err error) {
	for _, have := range g.shares {
		switch {
		case have.Equal(share):
			share.Wipe()
			return true, nil
		case Number(have) == Number(share):
			share.Wipe()
			g.Wipe()
			return false, errs.New(errs.Invalid, "two of the shares contradict each other: all were dropped, give them again")
		}
	}
	g.shares = append(g.shares, share)
	return false, nil
}

// Len is how many there are.
func (g *Given) Len() int { return len(g.shares) }

// Shares are g's still.
func (g *Given) Shares() []redact.Secret { return g.shares }

// Take returns all, which are the caller's then.
func (g *Given) Take() []redact.Secret {
	all := g.shares
	g.shares = nil
	return all
}

// Wipe drops all.
func (g *Given) Wipe() {
	for _, s := range g.shares {
		s.Wipe()
	}
	g.shares = nil
}
