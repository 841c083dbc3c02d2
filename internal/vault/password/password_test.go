package password

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// fitting counts in the simplest way.
func fitting(p Policy, password []rune) bool {
	for _, r := range p.Rules {
		n := 0
		for _, c := range password {
			if strings.ContainsRune(r.Charset, c) {
				n++
			}
		}
		if n < r.Min {
			return false
		}
	}
	return true
}

func TestGenerateFitsThePolicy(t *testing.T) {
	for name, p := range map[string]Policy{
		"default": Default(),
		"digits":  {Length: 6, Rules: []Rule{{Digits, 6}}},
		"accents": {Length: 8, Rules: []Rule{{"äöü", 4}, {Lower, 1}}},
		"overlap": {Length: 12, Rules: []Rule{{Lower + Digits, 0}, {Digits, 5}}},
	} {
		t.Run(name, func(t *testing.T) {
			seen := map[string]bool{}
			for range 200 {
				s, err := p.Generate(nil)
				if err != nil {
					t.Fatal(err)
				}
				got := []rune(s.RevealString())
				if len(got) != p.Length || !fitting(p, got) {
					t.Fatalf("a password of %d characters that fits: %v", len(got), fitting(p, got))
				}
				seen[s.RevealString()] = true
			}
			if name == "default" && len(seen) != 200 {
				t.Errorf("200 passwords, %d different", len(seen))
			}
		})
	}
}

func TestEveryCharacterIsAsLikely(t *testing.T) {
	p := Policy{Length: 1000, Rules: []Rule{{Lower + Upper + Digits, 0}}}
	count := map[rune]int{}
	for range 62 {
		s, err := p.Generate(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range s.RevealString() {
			count[c]++
		}
	}
	for _, c := range Lower + Upper + Digits {
		if n := count[c]; n < 800 || n > 1200 { // expected 1000, sigma 31
			t.Errorf("%q came %d times of 62000", c, n)
		}
	}
}

func TestPoliciesThatCannotBe(t *testing.T) {
	for text, p := range map[string]Policy{
		"between":       {Length: 3, Rules: []Rule{{Lower, 0}}},
		"at least one":  {Length: 10},
		"no charset":    {Length: 10, Rules: []Rule{{}}},
		"not printable": {Length: 10, Rules: []Rule{{"a\x00", 0}}},
		"ask for 12":    {Length: 10, Rules: []Rule{{Lower, 6}, {Digits, 6}}},
		"asks for 11":   {Length: 10, Rules: []Rule{{Lower, 11}}},
		"hardly any":    {Length: 200, Rules: []Rule{{Lower + Upper, 0}, {"-", 200}}},
	} {
		_, err := p.Generate(nil)
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestNoRandomnessIsNoPassword(t *testing.T) {
	if _, err := Default().Generate(bytes.NewReader(nil)); !errs.Is(err, errs.Internal) {
		t.Errorf("without randomness: %v", err)
	}
}

// A policy that no password fits is found out in a moment, however large it is:
// whoever may write policies must not be able to keep a processor busy for hours.
func TestImpossiblePoliciesCostLittle(t *testing.T) {
	var charset strings.Builder
	for c := rune(0x4e00); c < 0x4e00+1000; c++ {
		charset.WriteRune(c)
	}
	p := Policy{Length: MaxLength, Rules: []Rule{{"a", MaxLength - 63}}}
	for range maxRules - 1 {
		p.Rules = append(p.Rules, Rule{charset.String(), 1})
	}
	start := time.Now()
	if _, err := p.Generate(nil); !errs.Is(err, errs.Invalid) {
		t.Error(err)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
}
