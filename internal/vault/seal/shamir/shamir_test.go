package shamir_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/seal/shamir"
)

func deal(t testing.TB, parts, threshold int) (redact.Secret, []redact.Secret) {
	t.Helper()
	key, shares, err := shamir.Deal(parts, threshold)
	if err != nil {
		t.Fatalf("dealing %d of %d: %v", threshold, parts, err)
	}
	if key.Len() != shamir.KeySize || len(shares) != parts {
		t.Fatalf("dealing %d of %d gave a key of %d bytes and %d shares", threshold, parts, key.Len(), len(shares))
	}
	return key, shares
}

func TestEverySubsetOfThresholdSizeGivesTheKey(t *testing.T) {
	const parts, threshold = 5, 3
	key, shares := deal(t, parts, threshold)
	for mask := 1; mask < 1<<parts; mask++ {
		var set []redact.Secret
		for i := range parts {
			if mask>>i&1 == 1 {
				set = append(set, shares[i])
			}
		}
		got, err := shamir.Combine(set)
		if err != nil {
			t.Fatalf("subset %05b: %v", mask, err)
		}
		if want := len(set) >= threshold; got.Equal(key) != want {
			t.Errorf("subset %05b of %d shares: gives the key = %v, want %v", mask, len(set), !want, want)
		}
		slices.Reverse(set)
		if again, _ := shamir.Combine(set); !again.Equal(got) {
			t.Errorf("subset %05b: the order of shares matters", mask)
		}
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct{ parts, threshold int }{{1, 1}, {2, 2}, {3, 2}, {10, 10}, {255, 2}, {255, 20}} {
		key, shares := deal(t, c.parts, c.threshold)
		got, err := shamir.Combine(shares[c.parts-c.threshold:])
		if err != nil || !got.Equal(key) {
			t.Errorf("%d of %d: %v", c.threshold, c.parts, err)
		}
	}
}

func TestSharesAreDistinctAndFresh(t *testing.T) {
	key, shares := deal(t, 255, 3)
	numbers := map[byte]bool{}
	for _, s := range shares {
		if s.Len() != shamir.ShareSize {
			t.Fatalf("a share of %d bytes", s.Len())
		}
		numbers[shamir.Number(s)] = true
	}
	if len(numbers) != 255 || numbers[0] {
		t.Errorf("255 shares have %d numbers, 0 among them: %v", len(numbers), numbers[0])
	}
	other, _ := deal(t, 255, 3)
	if other.Equal(key) {
		t.Error("two deals gave one key")
	}
	ordered := true
	for i, s := range shares {
		ordered = ordered && shamir.Number(s) == byte(i+1)
	}
	if ordered {
		t.Error("shares are numbered in order: they tell how many there are")
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		parts, threshold int
		say              string // "" = allowed
	}{
		{5, 3, ""}, {1, 1, ""}, {2, 2, ""}, {255, 255, ""},
		{0, 0, "0 shares"}, {-1, 1, "-1 shares"}, {256, 3, "256 shares"},
		{5, 0, "threshold of 0"}, {5, -2, "threshold of -2"},
		{3, 5, "more than the 3 shares"}, {5, 1, "alone opens"},
	} {
		err := shamir.Check(c.parts, c.threshold)
		if _, _, dealt := shamir.Deal(c.parts, c.threshold); (dealt == nil) != (err == nil) {
			t.Errorf("%d of %d: Deal and Check disagree: %v, %v", c.threshold, c.parts, dealt, err)
		}
		if c.say == "" {
			if err != nil {
				t.Errorf("%d of %d: %v", c.threshold, c.parts, err)
			}
			continue
		}
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%d of %d: got %v, want Invalid saying %q", c.threshold, c.parts, err, c.say)
		}
	}
}

// order is that of ristretto255's scalars, 2^252 + 27742317777372353535851937790883648493 (RFC 9496, 4.4).
func order() *big.Int {
	l, _ := new(big.Int).SetString("27742317777372353535851937790883648493", 10)
	return l.Add(l, new(big.Int).Lsh(big.NewInt(1), 252))
}

// share evaluates a polynomial at number by math/big, apart from the
// implementation that is tested.
func share(number int64, coefficients ...*big.Int) redact.Secret {
	y := new(big.Int)
	for i := len(coefficients) - 1; i >= 0; i-- {
		y.Mul(y, big.NewInt(number)).Add(y, coefficients[i]).Mod(y, order())
	}
	raw := make([]byte, 32)
	y.FillBytes(raw)
	slices.Reverse(raw)
	return redact.New(append([]byte{byte(number)}, raw...))
}

func TestAgainstIndependentArithmetic(t *testing.T) {
	l := order()
	secret := new(big.Int).Sub(l, big.NewInt(12345)) // near the top of the field
	a1 := new(big.Int).Exp(big.NewInt(3), big.NewInt(500), l)
	a2 := new(big.Int).Exp(big.NewInt(7), big.NewInt(500), l)
	raw := make([]byte, 32)
	secret.FillBytes(raw)
	slices.Reverse(raw)
	want, err := hkdf.Key(sha256.New, raw, nil, "strongkeep unseal key v1", 32)
	if err != nil {
		t.Fatal(err)
	}
	for _, numbers := range [][]int64{{1, 2, 3}, {255, 7, 128}, {9, 8, 7, 6, 5}} {
		var set []redact.Secret
		for _, n := range numbers {
			set = append(set, share(n, secret, a1, a2))
		}
		got, err := shamir.Combine(set)
		if err != nil || !bytes.Equal(got.Reveal(), want) {
			t.Errorf("shares %v: another key than math/big and HKDF give (%v)", numbers, err)
		}
	}
}

// TestGolden holds shares in the form that people have in their safes. It must
// pass for as long as there are vaults: never change these values.
func TestGolden(t *testing.T) {
	const key = "4f10974dc13e28d55d9dfaded1f1677fb33f22a79006e2507271cf6df59ddaba"
	shares := []string{ // 3 of 4
		"5f23001c469441fe108be3789653ef2373df02cdc274af8c2d4b4e403f50c9fb07",
		"8Fq33v8dNivGmtm7aEUEoi1wEgAIonWRHV4qhvod0TQE",
		"4ca0edeadc37264dcd05cc246e8c6ba2b261e0560223f88ab2462ffb52b7b96702",
		"6adec7d4fa2ba6d4c301193d3275b006dff0a6e59f93e03f3611c5fd5553f2da08",
	}
	for skip := range shares {
		var set []redact.Secret
		for i, text := range shares {
			if i == skip {
				continue
			}
			s, err := shamir.Parse(redact.FromString(text))
			if err != nil {
				t.Fatal(err)
			}
			set = append(set, s)
		}
		got, err := shamir.Combine(set)
		if err != nil || hex.EncodeToString(got.Reveal()) != key {
			t.Errorf("without share %d: the key has changed (%v)", skip, err)
		}
	}
}

func TestWrongShares(t *testing.T) {
	key, shares := deal(t, 5, 3)
	_, others := deal(t, 5, 3)
	foreign := others[0]
	for _, o := range others { // one whose number is not taken
		if n := shamir.Number(o); n != shamir.Number(shares[0]) && n != shamir.Number(shares[1]) {
			foreign = o
		}
	}
	got, err := shamir.Combine([]redact.Secret{shares[0], shares[1], foreign})
	if err != nil || got.Equal(key) {
		t.Errorf("a share of another set: %v, the key: %v", err, got.Equal(key))
	}
	same := slices.Clone(shares[0].Reveal())
	same[1] ^= 1
	zero := slices.Clone(shares[0].Reveal())
	zero[0] = 0
	big := append([]byte{1}, bytes.Repeat([]byte{0xff}, 32)...)
	for name, c := range map[string]struct {
		set []redact.Secret
		say string
	}{
		"none":               {nil, "no shares"},
		"the same twice":     {[]redact.Secret{shares[0], shares[1], shares[0]}, "twice"},
		"one number, two":    {[]redact.Secret{shares[0], shares[1], redact.New(same)}, "twice"},
		"number 0":           {[]redact.Secret{shares[1], redact.New(zero)}, "no unseal key share"},
		"not a scalar":       {[]redact.Secret{shares[1], redact.New(big)}, "no unseal key share"},
		"short":              {[]redact.Secret{shares[1], redact.New(zero[:32])}, "33 bytes, not 32"},
		"empty":              {[]redact.Secret{shares[1], {}}, "33 bytes, not 0"},
		"the order, as zero": {[]redact.Secret{redact.New(append([]byte{1}, orderBytes()...))}, "no unseal key share"},
	} {
		_, err := shamir.Combine(c.set)
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: got %v, want Invalid saying %q", name, err, c.say)
		}
	}
}

func orderBytes() []byte {
	raw := make([]byte, 32)
	order().FillBytes(raw)
	slices.Reverse(raw)
	return raw
}

func TestParse(t *testing.T) {
	_, shares := deal(t, 1, 1)
	raw := shares[0].Reveal()
	asHex, as64 := hex.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw)
	for name, text := range map[string]string{
		"hex": asHex, "HEX": strings.ToUpper(asHex), "base64": as64,
		"spaces": "  " + asHex + "\r\n", "newline": as64 + "\n", "tab": "\t" + as64,
	} {
		got, err := shamir.Parse(redact.FromString(text))
		if err != nil || !bytes.Equal(got.Reveal(), raw) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct{ text, say string }{
		"empty":            {"", "has 0 characters"},
		"hex cut":          {asHex[:65], "has 65 characters"},
		"base64 cut":       {as64[:43], "has 43 characters"},
		"not hex":          {"z" + asHex[1:], "neither hex nor base64"},
		"not base64":       {"!" + as64[1:], "neither hex nor base64"},
		"base64 of less":   {as64[:40] + "\n\n\n ", "characters"},
		"line break in it": {as64[:20] + "\n" + as64[21:], "neither hex nor base64"},
		"base64url":        {strings.Repeat("-", 44), "neither hex nor base64"},
		"zeros":            {strings.Repeat("0", 66), "no unseal key share"},
		"ones":             {strings.Repeat("f", 66), "no unseal key share"},
	} {
		_, err := shamir.Parse(redact.FromString(c.text))
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: got %v, want Invalid saying %q", name, err, c.say)
		}
		if err != nil && len(c.text) > 20 && strings.Contains(err.Error(), c.text[5:15]) {
			t.Errorf("%s: the message quotes the share", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(strings.Repeat("0", 66)))
	f.Add([]byte(strings.Repeat("A", 44)))
	f.Add([]byte("01" + strings.Repeat("0", 64)))
	f.Add([]byte(" \n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		share, err := shamir.Parse(redact.New(slices.Clone(text)))
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("kind %v", errs.KindOf(err))
			}
			return
		}
		again, err := shamir.Parse(redact.FromString(hex.EncodeToString(share.Reveal())))
		if err != nil || !again.Equal(share) {
			t.Errorf("a parsed share does not survive hex: %v", err)
		}
		if _, err := shamir.Combine([]redact.Secret{share}); err != nil {
			t.Errorf("a parsed share does not combine: %v", err)
		}
	})
}

// FuzzCombine looks for panics, which the library beneath has for duplicates.
func FuzzCombine(f *testing.F) {
	_, shares := deal(f, 3, 2)
	f.Add(append(slices.Clone(shares[0].Reveal()), shares[1].Reveal()...))
	f.Add(append(slices.Clone(shares[0].Reveal()), shares[0].Reveal()...))
	f.Add(make([]byte, 66))
	f.Add([]byte{1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		var set []redact.Secret
		for part := range slices.Chunk(b, shamir.ShareSize) {
			set = append(set, redact.New(part))
		}
		key, err := shamir.Combine(set)
		if err == nil && key.Len() != shamir.KeySize {
			t.Errorf("a key of %d bytes", key.Len())
		}
		if err != nil && !errs.Is(err, errs.Invalid) {
			t.Errorf("kind %v", errs.KindOf(err))
		}
	})
}

func BenchmarkCombine3(b *testing.B) {
	_, shares := deal(b, 5, 3)
	for b.Loop() {
		if _, err := shamir.Combine(shares[:3]); err != nil {
			b.Fatal(err)
		}
	}
}
