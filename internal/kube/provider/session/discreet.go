package session

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// discreet is err as it may be told to whoever asks for something else while
// the store is down, with what was asked for blotted out: objects of other
// namespaces may share a session, and what one of them reads is not for the
// others to know.
func discreet(err error, w wanted) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, word := range w.words() {
		for part := range strings.SplitSeq(word, "/") { // stores write the parts down in their own way
			text = blot(text, part)
		}
	}
	told := errs.New(errs.KindOf(err), text)
	if errors.Is(err, provider.ErrReference) {
		return provider.Reference(told)
	}
	return told
}

// blot puts "…" in the place of word, wherever it stands as one.
func blot(text, word string) string {
	if word == "" {
		return text
	}
	var b strings.Builder
	for done := 0; ; {
		i := strings.Index(text[done:], word)
		if i < 0 {
			b.WriteString(text[done:])
			return b.String()
		}
		from, to := done+i, done+i+len(word)
		before, _ := utf8.DecodeLastRuneInString(text[:from])
		after, _ := utf8.DecodeRuneInString(text[to:])
		if letter(before) || letter(after) {
			_, size := utf8.DecodeRuneInString(text[from:])
			to = from + size
			b.WriteString(text[done:to])
		} else {
			b.WriteString(text[done:from] + "…")
		}
		done = to
	}
}

func letter(r rune) bool { return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) }
