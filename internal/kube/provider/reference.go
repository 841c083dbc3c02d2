package provider

import (
	"errors"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// ErrReference is, by errors.Is, every error about an object of the cluster that a
// store's settings refer to: it is not there, lacks the key, or cannot be read. Its kind
// may be Unavailable, as nothing is known of the secret; but it says nothing of the
// store, and whoever may write such objects can make it happen.
var ErrReference = errs.New(errs.Unavailable, "an object that the store refers to cannot be used")

// reference is an error that is ErrReference, with the text and kind of its own.
type reference struct{ error }

func (r reference) Unwrap() error { return r.error }

func (reference) Is(target error) bool { return target == ErrReference }

// Reference makes err one that is ErrReference. Reference(nil) is nil.
func Reference(err error) error {
	if err == nil || errors.Is(err, ErrReference) {
		return err
	}
	return reference{err}
}

// Access tells apart by what a store is read: a digest of the content of every object
// that its credentials and authorities were read from. Equal ones mean equal
// credentials. The zero Access is not known. It is not public: who can guess a
// credential can test the guess.
type Access [32]byte

// Known reports whether a is not the zero Access.
func (a Access) Known() bool { return a != Access{} }
