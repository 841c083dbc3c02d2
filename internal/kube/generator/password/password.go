package password

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"unicode"
	"unicode/utf8"

	v1alpha1 "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Kind draws passwords.
type Kind struct{}

var _ generator.Drawer = Kind{}

const (
	lower   = "abcdefghijklmnopqrstuvwxyz"
	upper   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
	symbols = "~!@#$%^&*()_+`-={}|[]\\:\"<>?,./"

	usualLength = 24
	maxLength   = 4096
	maxKeys     = 64
)

// Generate implements generator.Kind. Passwords are drawn uniformly from all that
// the policy admits.
func (Kind) Generate(_ context.Context, cfg generator.Config) (generator.Made, error) {
	var spec v1alpha1.PasswordSpec
	if err := generator.Decode(cfg.Spec, &spec); err != nil {
		return generator.Made{}, err
	}
	p, err := policyOf(spec)
	if err != nil {
		return generator.Made{}, err
	}
	made := generator.Made{Data: map[string]redact.Secret{}}
	for _, key := range p.keys {
		made.Data[key] = redact.New(p.encode(p.draw()))
	}
	return made, nil
}

// Keys implements generator.Drawer.
func (Kind) Keys(raw json.RawMessage) ([]string, error) {
	var spec v1alpha1.PasswordSpec
	if err := generator.Decode(raw, &spec); err != nil {
		return nil, err
	}
	return keysOf(spec.SecretKeys)
}

// policy is what a spec comes to.
type policy struct {
	classes []class // of the characters, with how many of each
	repeat  bool
	keys    []string
	encode  func([]byte) []byte
}

type class struct {
	runes []rune
	count int
}

func policyOf(spec v1alpha1.PasswordSpec) (policy, error) {
	length := spec.Length
	if length == 0 {
		length = usualLength
	}
	if length < 0 || length > maxLength {
		return policy{}, errs.Newf(errs.Invalid, "spec.length is %d: it must be from 1 to %d", length, maxLength)
	}
	nDigits, nSymbols := length/4, length/4
	if spec.Digits != nil {
		nDigits = *spec.Digits
	}
	if spec.Symbols != nil {
		nSymbols = *spec.Symbols
	}
	if nDigits < 0 || nSymbols < 0 || nDigits > length || nSymbols > length-nDigits {
		return policy{}, errs.Newf(errs.Invalid, "%d digits and %d symbols do not fit into spec.length %d", nDigits, nSymbols, length)
	}
	p := policy{repeat: spec.AllowRepeat}
	var err error
	if p.classes, err = classesOf(spec, length-nDigits-nSymbols, nDigits, nSymbols); err != nil {
		return policy{}, err
	}
	if p.keys, err = keysOf(spec.SecretKeys); err != nil {
		return policy{}, err
	}
	p.encode, err = encoding(spec.Encoding)
	return p, err
}

// classesOf returns from what letters, digits and symbols are drawn, and how many.
func classesOf(spec v1alpha1.PasswordSpec, nLetters, nDigits, nSymbols int) ([]class, error) {
	letters := lower
	if !spec.NoUpper {
		letters += upper
	}
	chosen := []rune(symbols)
	if spec.SymbolCharacters != nil && *spec.SymbolCharacters != "" {
		var err error
		if chosen, err = distinct(*spec.SymbolCharacters); err != nil {
			return nil, err
		}
	}
	classes := []class{{[]rune(letters), nLetters}, {[]rune(digits), nDigits}, {chosen, nSymbols}}
	for i, name := range []string{"letters", "digits", "symbols"} {
		if c := classes[i]; !spec.AllowRepeat && c.count > len(c.runes) {
			return nil, errs.Newf(errs.Invalid, "%d %s are asked for, and there are only %d different ones: set spec.allowRepeat, or ask for fewer", c.count, name, len(c.runes))
		}
	}
	return classes, nil
}

// distinct returns the symbols to draw from, each as likely as the others.
func distinct(text string) ([]rune, error) {
	if !utf8.ValidString(text) {
		return nil, errs.New(errs.Invalid, "spec.symbolCharacters is not UTF-8")
	}
	seen := map[rune]bool{}
	var out []rune
	for _, r := range text {
		if !unicode.IsGraphic(r) {
			return nil, errs.New(errs.Invalid, "spec.symbolCharacters holds what cannot be shown")
		}
		if !seen[r] {
			seen[r] = true
			out = append(out, r)
		}
	}
	return out, nil
}

func keysOf(keys []string) ([]string, error) {
	if len(keys) == 0 {
		return []string{"password"}, nil
	}
	if len(keys) > maxKeys {
		return nil, errs.Newf(errs.Invalid, "spec.secretKeys has %d keys: at most %d are made", len(keys), maxKeys)
	}
	seen := map[string]bool{}
	for _, key := range keys {
		if key == "" || seen[key] {
			return nil, errs.New(errs.Invalid, "spec.secretKeys must not be empty, and each another")
		}
		seen[key] = true
	}
	return keys, nil
}

// encoding returns how a password is written.
func encoding(name *string) (func([]byte) []byte, error) {
	text := "raw"
	if name != nil {
		text = *name
	}
	by := func(f func([]byte) string) func([]byte) []byte { return func(b []byte) []byte { return []byte(f(b)) } }
	switch text {
	case "raw":
		return func(b []byte) []byte { return b }, nil
	case "base64":
		return by(base64.StdEncoding.EncodeToString), nil
	case "base64url":
		return by(base64.URLEncoding.EncodeToString), nil
	case "base32":
		return by(base32.StdEncoding.EncodeToString), nil
	case "hex":
		return by(hex.EncodeToString), nil
	}
	return nil, errs.Newf(errs.Invalid, "spec.encoding is %q: it must be raw, base64, base64url, base32 or hex", text)
}

// draw returns one password.
func (p policy) draw() []byte {
	var all []rune
	for _, c := range p.classes {
		from := append([]rune(nil), c.runes...)
		for range c.count {
			i := below(len(from))
			all = append(all, from[i])
			if !p.repeat {
				from = append(from[:i], from[i+1:]...)
			}
		}
	}
	for i := len(all) - 1; i > 0; i-- { // Fisher and Yates
		j := below(i + 1)
		all[i], all[j] = all[j], all[i]
	}
	return []byte(string(all))
}

// below returns a number from 0 to n-1, each as likely as the others.
func below(n int) int {
	i, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		panic(err) // crypto/rand ends the program itself
	}
	return int(i.Int64())
}
