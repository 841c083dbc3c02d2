package password

import (
	"strconv"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/policy/syntax"
)

// MaxText bounds the text of a policy in bytes.
const MaxText = 16 << 10

// Parse reads a policy in HCL or JSON, as Vault has them:
//
//	length = 20
//	rule "charset" {
//	  charset   = "abcdefghijklmnopqrstuvwxyz"
//	  min-chars = 1
//	}
//
// Kinds: Invalid, with line and column where there are any, and TooLarge. A
// policy that hardly any password fits is refused, too.
func Parse(text string) (Policy, error) {
	if len(text) > MaxText {
		return Policy{}, errs.Newf(errs.TooLarge, "a password policy of %d bytes is over the limit of %d", len(text), MaxText)
	}
	root, err := syntax.Parse(text)
	if err != nil {
		return Policy{}, err
	}
	var p Policy
	length := false
	for _, f := range root.Fields {
		switch {
		case f.Name == "length" && length:
			err = f.At.Errorf("length is set twice")
		case f.Name == "length":
			length = true
			p.Length, err = number(f)
		case f.Name == "rule":
			err = p.addRules(f)
		default:
			err = f.At.Errorf("unknown key %.40q; known keys are length and rule", f.Name)
		}
		if err != nil {
			return Policy{}, err
		}
	}
	if !length {
		return Policy{}, errs.Newf(errs.Invalid, "a password policy needs a length between %d and %d", MinLength, MaxLength)
	}
	if err := p.Check(); err != nil {
		return Policy{}, err
	}
	_, err = p.Generate(nil)
	return p, err
}

// addRules reads `rule "charset" { }`, or its JSON {"charset": {…}}, or lists of it.
func (p *Policy) addRules(f syntax.Field) error {
	kinds, err := f.Value.Objects("rule")
	if err != nil {
		return err
	}
	for _, kind := range kinds {
		for _, named := range kind.Fields {
			if named.Name != "charset" {
				return named.At.Errorf(`unknown rule %.40q; the only one is rule "charset"`, named.Name)
			}
			bodies, err := named.Value.Objects(`rule "charset"`)
			if err != nil {
				return err
			}
			for _, body := range bodies {
				r, err := readRule(body)
				if err != nil {
					return err
				}
				p.Rules = append(p.Rules, r)
			}
		}
	}
	return nil
}

func readRule(body syntax.Node) (r Rule, err error) {
	seen := map[string]bool{}
	for _, f := range body.Fields {
		if seen[f.Name] {
			return r, f.At.Errorf("%.40q is set twice in one rule", f.Name)
		}
		seen[f.Name] = true
		switch f.Name {
		case "charset":
			r.Charset, err = f.Value.Text, f.Value.Expect(syntax.String, "charset")
		case "min-chars":
			r.Min, err = number(f)
		default:
			err = f.At.Errorf("unknown key %.40q in a rule; known keys are charset and min-chars", f.Name)
		}
		if err != nil {
			return r, err
		}
	}
	if r.Charset == "" {
		return r, body.At.Errorf(`a rule "charset" needs a charset: the characters it is about`)
	}
	return r, nil
}

func number(f syntax.Field) (int, error) {
	n, err := strconv.Atoi(f.Value.Text)
	if f.Value.Kind != syntax.Number && f.Value.Kind != syntax.String || err != nil || n < 0 {
		return 0, f.Value.At.Errorf("%s must be a whole number of 0 or more", f.Name)
	}
	return n, nil
}
