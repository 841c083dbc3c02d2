package kv

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/shelf"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Kind makes Targets of spec.target.kv.
type Kind struct{}

// value publishes what it makes by its shelf.
type value struct {
	*shelf.Shelf
	vault    target.Vault
	generate []v1alpha1.Generated
}

var (
	_ target.Target    = value{}
	_ target.Observer  = value{}
	_ target.Rehearser = value{}
	_ target.Lender    = value{}
)

// Open implements target.Kind.
func (Kind) Open(cfg target.Config) (target.Target, error) {
	spec := cfg.Spec.KV
	if spec == nil {
		return nil, errs.New(errs.Invalid, "spec.target.kv is missing")
	}
	if err := check(spec.Generate); err != nil {
		return nil, errs.Newf(errs.Invalid, "spec.target.kv.generate: %w", err)
	}
	s, err := shelf.New(cfg.Vault, spec.KVPath)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "spec.target.kv: %w", err)
	}
	return value{s, cfg.Vault, spec.Generate}, nil
}

// Lengths of what is made without a password policy.
const (
	usualLength = 32
	minLength   = 16
	maxLength   = 1024
)

func check(generate []v1alpha1.Generated) error {
	if len(generate) == 0 {
		return errs.New(errs.Invalid, "name at least one property")
	}
	seen := map[string]bool{}
	for _, g := range generate {
		for _, property := range []string{g.Property, g.Previous} {
			if property != "" && seen[property] {
				return errs.Newf(errs.Invalid, "property %q is named twice", property)
			}
			seen[property] = true
		}
		if err := checkOne(g); err != nil {
			return err
		}
	}
	return nil
}

func checkOne(g v1alpha1.Generated) error {
	switch {
	case g.Property == "":
		return errs.New(errs.Invalid, "property is missing")
	case g.PasswordPolicy != "" && g.Length != nil:
		return errs.Newf(errs.Invalid, "property %q: a password policy has a length of its own: leave length out", g.Property)
	case strings.ContainsAny(g.PasswordPolicy, "/?#%"):
		return errs.Newf(errs.Invalid, "property %q: %q is not the name of a password policy", g.Property, g.PasswordPolicy)
	case g.Length != nil && (*g.Length < minLength || *g.Length > maxLength):
		return errs.Newf(errs.Invalid, "property %q: length %d: it must be from %d to %d", g.Property, *g.Length, minLength, maxLength)
	}
	return nil
}

// Stage implements target.Target.
func (v value) Stage(ctx context.Context, t target.Turn) (target.State, error) {
	return v.Shelf.Stage(ctx, t, v.make)
}

// make makes every property. The one that holds the value before is null in the
// first turn of all, where there is none.
func (v value) make(ctx context.Context, d shelf.Draft) (shelf.Staged, error) {
	out := shelf.Staged{Values: shelf.Values{}}
	for _, g := range v.generate {
		made, err := v.draw(ctx, g)
		if err != nil {
			return out, err
		}
		out.Values[g.Property] = shelf.Text(made)
		if g.Previous == "" {
			continue
		}
		out.Until = append(out.Until, g.Previous)
		out.Values[g.Previous] = json.RawMessage("null")
		if old, ok := d.Live[g.Property]; ok {
			out.Values[g.Previous] = old
		}
	}
	return out, nil
}

// draw makes one value.
func (v value) draw(ctx context.Context, g v1alpha1.Generated) (redact.Secret, error) {
	if g.PasswordPolicy == "" {
		length := usualLength
		if g.Length != nil {
			length = int(*g.Length)
		}
		return random(length), nil
	}
	raw, err := v.vault.Call(ctx, http.MethodGet, "sys/policies/password/"+g.PasswordPolicy+"/generate", nil)
	if errs.Is(err, errs.NotExist) {
		return redact.Secret{}, errs.Newf(errs.NotExist, "there is no password policy %q: make it with sys/policies/password/%s", g.PasswordPolicy, g.PasswordPolicy)
	}
	if err != nil {
		return redact.Secret{}, err
	}
	var answer struct {
		Password string `json:"password"`
	}
	if json.Unmarshal(raw, &answer) != nil || answer.Password == "" {
		return redact.Secret{}, errs.Newf(errs.Invalid, "the password policy %q gave no password", g.PasswordPolicy)
	}
	return redact.FromString(answer.Password), nil
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// random returns letters and digits, each equally likely: bytes that would make
// some likelier are drawn again.
func random(length int) redact.Secret {
	const fair = 256 / len(alphabet) * len(alphabet)
	out := make([]byte, 0, length)
	draw := make([]byte, length)
	for len(out) < length {
		rand.Read(draw) // never fails
		for _, b := range draw {
			if int(b) < fair && len(out) < length {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	clear(draw)
	return redact.New(out)
}

// Rehearse also makes every value, and keeps none.
func (v value) Rehearse(ctx context.Context, t target.Turn) ([]string, error) {
	lines, err := v.Shelf.Rehearse(ctx, t)
	if err != nil {
		return lines, err
	}
	for _, g := range v.generate {
		made, err := v.draw(ctx, g)
		if err != nil {
			return lines, err
		}
		lines = append(lines, fmt.Sprintf("a value of %d bytes was made for %q and thrown away", made.Len(), g.Property))
		made.Wipe()
	}
	return lines, nil
}

// Lend implements target.Lender.
func (v value) Lend(ctx context.Context, t target.Turn) (redact.Secret, error) {
	return v.Shelf.Staged(ctx, t)
}

// Removal implements target.Prover.
func (value) Removal() (text string, proven bool) {
	return "the versions that hold it are destroyed in the vault; whether anybody accepts the value still was not tried", false
}
