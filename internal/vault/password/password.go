package password

import (
	"crypto/rand"
	"io"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// The sorts of characters of the default policy.
const (
	Lower  = "abcdefghijklmnopqrstuvwxyz"
	Upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	Digits = "0123456789"
	Dash   = "-"
)

// Bounds of a policy.
const (
	MinLength = 4
	MaxLength = 1024
	maxRules  = 64
	// maxTries is how many candidates are drawn before a policy counts as one
	// that asks for too much. The default policy needs two on average.
	maxTries = 100_000
	// maxDrawn bounds the characters of all candidates of one password, which
	// bounds the time of a long one that never fits.
	maxDrawn = 4 << 20
)

// Policy says what a password is made of.
type Policy struct {
	Length int    // characters, MinLength to MaxLength
	Rules  []Rule // at least one; the password is drawn from all their characters
}

// Rule is one set of characters and how many of them there must be at least.
type Rule struct {
	Charset string
	Min     int
}

// Default is what is used where no policy is named: 20 characters, about 119
// bits, with one at least of every sort, as databases often demand.
func Default() Policy {
	return Policy{Length: 20, Rules: []Rule{{Lower, 1}, {Upper, 1}, {Digits, 1}, {Dash, 1}}}
}

// Check returns Invalid unless passwords can be made by p.
func (p Policy) Check() error {
	switch {
	case p.Length < MinLength || p.Length > MaxLength:
		return errs.Newf(errs.Invalid, "the length of a password must be between %d and %d, not %d", MinLength, MaxLength, p.Length)
	case len(p.Rules) == 0:
		return errs.New(errs.Invalid, "a password policy needs at least one rule with a charset")
	case len(p.Rules) > maxRules:
		return errs.Newf(errs.Invalid, "a password policy has %d rules; the limit is %d", len(p.Rules), maxRules)
	}
	least := 0
	for i, r := range p.Rules {
		if err := r.check(i+1, p.Length); err != nil {
			return err
		}
		least += r.Min
	}
	if least > p.Length {
		return errs.Newf(errs.Invalid, "the rules of the password policy ask for %d characters, the length is %d", least, p.Length)
	}
	return nil
}

// check is of the n-th rule of a policy for passwords of that length.
func (r Rule) check(n, length int) error {
	if r.Charset == "" {
		return errs.Newf(errs.Invalid, "rule %d of the password policy has no charset", n)
	}
	if r.Min < 0 || r.Min > length {
		return errs.Newf(errs.Invalid, "rule %d of the password policy asks for %d characters of a password of %d", n, r.Min, length)
	}
	for _, c := range r.Charset {
		if c < ' ' || c == 0x7f || c == 0xfffd {
			return errs.Newf(errs.Invalid, "the charset of rule %d holds a character that is not printable", n)
		}
	}
	return nil
}

// Generate draws a password. Every password that fits the policy is equally
// likely: candidates are drawn whole, and those that miss a rule are thrown
// away. random is crypto/rand if nil. Kind Invalid: p is not valid, or so few
// passwords fit it that none was found.
func (p Policy) Generate(random io.Reader) (redact.Secret, error) {
	if err := p.Check(); err != nil {
		return redact.Secret{}, err
	}
	if random == nil {
		random = rand.Reader
	}
	alphabet, rules := p.alphabet()
	candidate := make([]int, p.Length) // places in the alphabet
	source := draw{random: random}
	for range min(maxTries, maxDrawn/p.Length) {
		for i := range candidate {
			n, err := source.below(len(alphabet))
			if err != nil {
				return redact.Secret{}, errs.Newf(errs.Internal, "reading randomness: %w", err)
			}
			candidate[i] = n
		}
		if p.fits(candidate, rules) {
			var text strings.Builder
			for _, n := range candidate {
				text.WriteRune(alphabet[n])
			}
			return redact.FromString(text.String()), nil
		}
	}
	return redact.Secret{}, errs.New(errs.Invalid, "hardly any password fits the password policy: lower its minimums or raise its length")
}

// alphabet is every character of the rules, each once, and for each the rules
// that it counts for, as bits.
func (p Policy) alphabet() (all []rune, rules []uint64) {
	of := map[rune]uint64{}
	for i, r := range p.Rules {
		for _, c := range r.Charset {
			of[c] |= 1 << i // maxRules fit
		}
	}
	all = slices.Sorted(maps.Keys(of))
	for _, c := range all {
		rules = append(rules, of[c])
	}
	return all, rules
}

func (p Policy) fits(candidate []int, rules []uint64) bool {
	var count [maxRules]int
	for _, n := range candidate {
		for set := rules[n]; set != 0; set &= set - 1 {
			count[bits.TrailingZeros64(set)]++
		}
	}
	for i, r := range p.Rules {
		if count[i] < r.Min {
			return false
		}
	}
	return true
}

// draw makes unbiased numbers of random bytes.
type draw struct {
	random io.Reader
	buf    [64]byte
	left   []byte
}

// below returns a number from 0 to n-1; n is at most 1<<16.
func (d *draw) below(n int) (int, error) {
	limit := (1 << 16) / n * n // the largest multiple: more would favour small numbers
	for {
		if len(d.left) < 2 {
			if _, err := io.ReadFull(d.random, d.buf[:]); err != nil {
				return 0, err
			}
			d.left = d.buf[:]
		}
		v := int(d.left[0])<<8 | int(d.left[1])
		d.left = d.left[2:]
		if v < limit {
			return v % n, nil
		}
	}
}
