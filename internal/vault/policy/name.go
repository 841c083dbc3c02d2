package policy

import (
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/policy/pattern"
)

// MaxName is the longest name of a policy, in bytes.
const MaxName = 256

// The policies that are always there.
const (
	RootName     = "root"              // everything; has no text
	WrappingName = "response-wrapping" // what a wrapping token may do
	DefaultName  = "default"           // stored when the vault is set up; its text may be changed
)

// NormalizeName returns name trimmed and in lower case. Whoever compares a
// name, above all with RootName, normalises it first: "ROOT" and " root" are
// root (CVE-2025-5999, CVE-2025-64761). Letters beyond ASCII are refused, since
// some of them look like others or fold to them.
func NormalizeName(name string) (string, error) {
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		return "", errs.New(errs.Invalid, "a policy must have a name")
	case len(name) > MaxName:
		return "", errs.Newf(errs.Invalid, "a policy name of %d bytes is over the limit of %d", len(name), MaxName)
	case strings.ContainsFunc(name, func(r rune) bool { return !nameRune(r) }):
		return "", errs.Newf(errs.Invalid, "policy name %.80q: use letters a to z, digits and any of - _ . : @ + = ~ /", name)
	case pattern.Dotted(name) || strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") || strings.Contains(name, "//"):
		return "", errs.Newf(errs.Invalid, `policy name %.80q: between slashes there must be more than "." or ".."`, name)
	}
	return strings.ToLower(name), nil // ASCII by now
}

func nameRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.:@+=~/", r)
}

// clean reports whether name is as NormalizeName would return it.
func clean(name string) bool {
	for i := range len(name) {
		if c := name[i]; c < 'a' || c > 'z' {
			normal, err := NormalizeName(name) // digits and signs: the long way round
			return err == nil && normal == name
		}
	}
	return name != "" && len(name) <= MaxName
}

// Writable returns the normalised name if the text of that policy may be set,
// else an error of kind Invalid.
func Writable(name string) (string, error) {
	name, err := NormalizeName(name)
	if err == nil && (name == RootName || name == WrappingName) {
		return "", errs.Newf(errs.Invalid, "policy %q is built in and cannot be changed", name)
	}
	return name, err
}

// Deletable returns the normalised name if that policy may be deleted.
func Deletable(name string) (string, error) {
	name, err := Writable(name)
	if err == nil && name == DefaultName {
		return "", errs.Newf(errs.Invalid, "policy %q cannot be deleted; it can be changed", name)
	}
	return name, err
}
