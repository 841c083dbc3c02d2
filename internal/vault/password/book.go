package password

import (
	"context"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Folder is where policies lie in storage, one key for each:
//
//	password/<namespace ID>/<name> → 0x01 | the text as it was written
//
// The byte in front is the version of this format.
const (
	Folder = "password/"
	format = 1
)

// maxName is the longest name of a policy, in bytes.
const maxName = 128

// Reader reads storage: a store, a transaction, an engine's Tx.
type Reader interface {
	Get(ctx context.Context, key string) (store.Entry, error)
	List(ctx context.Context, folder, after string, limit int) ([]string, error)
}

// Writer changes storage within a transaction.
type Writer interface {
	Put(key string, value []byte)
	Delete(key string)
}

// Book is the password policies of one namespace. It holds nothing but the
// namespace's ID: all state is in the store.
type Book struct{ Namespace string }

// key is where a policy lies. Kind Invalid: that is no name.
func (b Book) key(name string) (string, error) {
	ok := name != "" && len(name) <= maxName && strings.Trim(name, ".") != ""
	if !ok || strings.ContainsFunc(name, func(r rune) bool { return !nameRune(r) }) {
		return "", errs.Newf(errs.Invalid, "%.80q is no name of a password policy: use letters, digits and - _ . : @, at most %d", name, maxName)
	}
	return Folder + b.Namespace + "/" + name, nil
}

func nameRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.:@", r)
}

// Put checks text and writes it as the policy name. Kinds: those of Parse.
func (b Book) Put(tx Writer, name, text string) error {
	key, err := b.key(name)
	if err != nil {
		return err
	}
	if _, err := Parse(text); err != nil {
		return errs.Newf(errs.KindOf(err), "parsing password policy %q: %w", name, err)
	}
	tx.Put(key, append([]byte{format}, text...))
	return nil
}

// Get returns a policy and its text. Kinds: NotExist, Invalid (the name).
func (b Book) Get(ctx context.Context, r Reader, name string) (Policy, string, error) {
	key, err := b.key(name)
	if err != nil {
		return Policy{}, "", err
	}
	e, err := r.Get(ctx, key)
	if err != nil {
		return Policy{}, "", errs.Newf(errs.KindOf(err), "reading password policy %q: %w", name, err)
	}
	if !e.Exists() {
		return Policy{}, "", errs.Newf(errs.NotExist, "there is no password policy %q", name)
	}
	if len(e.Value) == 0 || e.Value[0] != format {
		return Policy{}, "", errs.Newf(errs.Internal, "password policy %q is stored in a format that this version does not know", name)
	}
	text := string(e.Value[1:])
	p, err := Parse(text)
	if err != nil {
		return Policy{}, "", errs.Newf(errs.Internal, "reading stored password policy %q, write it anew to repair it: %w", name, err)
	}
	return p, text, nil
}

// Delete removes the policy if it is there.
func (b Book) Delete(tx Writer, name string) error {
	key, err := b.key(name)
	if err == nil {
		tx.Delete(key)
	}
	return err
}

// List returns the names, sorted.
func (b Book) List(ctx context.Context, r Reader) ([]string, error) {
	names, err := r.List(ctx, Folder+b.Namespace+"/", "", 0)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "listing password policies: %w", err)
	}
	slices.Sort(names)
	return names, nil
}
