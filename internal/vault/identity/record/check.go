package record

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
)

// Limits, as far as they are not Vault's own they keep rows small.
const (
	MaxName      = 255  // bytes of the name of an entity or group
	MaxAliasName = 2048 // bytes
	maxMetadata  = 64   // pairs
	maxKey       = 128  // bytes
	maxValue     = 512  // bytes
	maxPolicies  = 512
)

// Fold is what names are compared by: capitals of ASCII are none. It goes no
// further, since letters that only look alike must not make two people one.
func Fold(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

// Escape makes one segment of a key of a folded name. reverse is not needed:
// the row holds the name.
func Escape(name string) string {
	return strings.NewReplacer("%", "%25", "/", "%2F").Replace(Fold(name))
}

// Hash makes one segment of a key of any name.
func Hash(name string) string {
	sum := sha256.Sum256([]byte(Fold(name)))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// CheckName refuses what cannot name an entity, group or alias. what names it
// in errors. Kind Invalid.
func CheckName(what, name string, limit int) error {
	switch {
	case name == "":
		return errs.Newf(errs.Invalid, "missing %s", what)
	case len(name) > limit:
		return errs.Newf(errs.Invalid, "%s of %d bytes is over the limit of %d", what, len(name), limit)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return errs.Newf(errs.Invalid, "%s must be printable text", what)
	case strings.TrimSpace(name) != name:
		return errs.Newf(errs.Invalid, "%s must not begin or end with a space", what)
	}
	return nil
}

// checkMetadata holds Vault's limits of metadata. Kind Invalid; it never quotes a value.
func checkMetadata(what string, m map[string]string) error {
	if len(m) > maxMetadata {
		return errs.Newf(errs.Invalid, "%s has %d pairs; it can contain at most %d", what, len(m), maxMetadata)
	}
	for k, v := range m {
		switch {
		case k == "" || len(k) > maxKey || !printable(k):
			return errs.Newf(errs.Invalid, "a key of %s must be printable and of 1 to %d bytes", what, maxKey)
		case len(v) > maxValue || !printable(v):
			return errs.Newf(errs.Invalid, "the value of %q in %s must be printable and of at most %d bytes", k, what, maxValue)
		}
	}
	return nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// Policies returns names as they are stored: normalised, sorted, each once. No
// spelling of root passes, nor of what only the vault gives: whoever may write
// an identity must not become more than they are (CVE-2024-9180, CVE-2025-5999,
// CVE-2025-64761). Kind Invalid.
func Policies(names []string) ([]string, error) {
	if len(names) > maxPolicies {
		return nil, errs.Newf(errs.Invalid, "%d policies are over the limit of %d", len(names), maxPolicies)
	}
	out := make([]string, 0, len(names))
	for _, name := range names {
		if strings.TrimSpace(name) == "" {
			continue
		}
		name, err := policy.NormalizeName(name)
		switch {
		case err != nil:
			return nil, err
		case name == policy.RootName:
			return nil, errs.New(errs.Invalid, "policies cannot contain root")
		case name == policy.WrappingName:
			return nil, errs.Newf(errs.Invalid, "policies cannot contain %s", name)
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// Check refuses what cannot be stored. Kind Invalid.
func (e *Entity) Check() error {
	if err := CheckName("entity name", e.Name, MaxName); err != nil {
		return err
	}
	if err := checkMetadata("metadata", e.Metadata); err != nil {
		return err
	}
	for i := range e.Aliases {
		if err := checkMetadata("custom_metadata", e.Aliases[i].Custom); err != nil {
			return err
		}
	}
	return checkPolicies(e.Policies)
}

// Check refuses what cannot be stored. Kind Invalid.
func (g *Group) Check() error {
	if err := CheckName("group name", g.Name, MaxName); err != nil {
		return err
	}
	if err := checkMetadata("metadata", g.Metadata); err != nil {
		return err
	}
	if g.Type != Internal && g.Type != Outside {
		return errs.Newf(errs.Invalid, "group type %.40q is invalid: it is internal or external", g.Type)
	}
	return checkPolicies(g.Policies)
}

// checkPolicies is the last look before a row is written.
func checkPolicies(names []string) error {
	normal, err := Policies(names)
	if err == nil && !slices.Equal(normal, names) {
		err = errs.New(errs.Internal, "policies of an identity were not normalised: "+fmt.Sprint(len(names)))
	}
	return err
}
