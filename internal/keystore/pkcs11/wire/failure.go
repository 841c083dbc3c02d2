package wire

import (
	"errors"
	"slices"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/printable"
)

// kinds have their numbers on the wire by their places; new ones go to the end.
var kinds = []errs.Kind{
	errs.Internal, errs.Invalid, errs.Unauthenticated, errs.Denied, errs.NotExist, errs.Exist,
	errs.Conflict, errs.Sealed, errs.Unavailable, errs.TooLarge, errs.Exhausted, errs.Unsupported,
}

// Failure is an answer that is an error.
type Failure struct {
	error
	// Lost says that the program ends now, and that another one may fare better.
	Lost bool
	// PIN says that the token has refused the PIN: nobody must try it again.
	PIN bool
}

// Unwrap returns the error.
func (f *Failure) Unwrap() error { return f.error }

const (
	flagLost = 1 << iota
	flagPIN
)

// maxText is how much of a failure's text is sent, and believed.
const maxText = 1000

// Fail is the message of an error: kind, flags, text.
func Fail(id uint32, err error) Message {
	var flags byte
	var f *Failure
	if errors.As(err, &f) {
		if f.Lost {
			flags |= flagLost
		}
		if f.PIN {
			flags |= flagPIN
		}
	}
	text := err.Error()
	kind := max(slices.Index(kinds, errs.KindOf(err)), 0)
	return Message{ID: id, Kind: Failed, Fields: [][]byte{{byte(kind), flags}, []byte(text[:min(len(text), maxText)])}}
}

// Failure reads the error of a Failed message. What is none is one of kind Internal.
func (m Message) Failure() *Failure {
	fields, err := m.Want(2)
	if err != nil || len(fields[0]) != 2 || int(fields[0][0]) >= len(kinds) {
		return &Failure{error: errs.New(errs.Internal, "strongkeep-pkcs11 answered with a failure that is none"), Lost: true}
	}
	text := printable.Line(string(fields[1][:min(len(fields[1]), maxText)]))
	flags := fields[0][1]
	return &Failure{error: errs.New(kinds[fields[0][0]], text), Lost: flags&flagLost != 0, PIN: flags&flagPIN != 0}
}

// Lost is err as that of a program that ends now.
func Lost(err error) error { return &Failure{error: err, Lost: true} }

// Refused is err as that of a token that refused the PIN.
func Refused(err error) error { return &Failure{error: err, PIN: true} }
