package session

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// discreet is as much of err as may be told to whoever asks for something else
// while the store is down: objects of other namespaces may share a session, and
// what one of them reads is not for the others to know.
func discreet(err error, req provider.Request) error {
	for e := err; e != nil; e = errors.Unwrap(e) {
		if !mentions(e.Error(), req.Key) {
			return errs.As(errs.KindOf(err), e)
		}
	}
	if err == nil {
		return nil
	}
	return errs.New(errs.KindOf(err), "the store cannot be used at the moment")
}

// mentions reports whether text has a part of key in it, as a word: stores write
// the key's parts down in their own way.
func mentions(text, key string) bool {
	for part := range strings.SplitSeq(key, "/") {
		if part != "" && hasWord(text, part) {
			return true
		}
	}
	return false
}

func hasWord(text, word string) bool {
	for rest := text; ; {
		i := strings.Index(rest, word)
		if i < 0 {
			return false
		}
		before, _ := utf8.DecodeLastRuneInString(rest[:i])
		after, _ := utf8.DecodeRuneInString(rest[i+len(word):])
		if !letter(before) && !letter(after) {
			return true
		}
		rest = rest[i+1:]
	}
}

func letter(r rune) bool { return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) }
