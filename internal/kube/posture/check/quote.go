package check

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Command is a command line for people to paste. Each argument that is text stands for
// itself, as (part of) one word: names of users, roles and bindings, and all names of
// files that nobody has applied yet, may hold $(…), quotes and line ends. Where a name
// would be taken for an option the line is a comment.
func Command(format string, args ...any) string {
	words := make([]any, len(args))
	option := false
	for i, a := range args {
		words[i] = a
		if text, ok := a.(string); ok {
			words[i] = Word(text)
			option = option || strings.HasPrefix(text, "-")
		}
	}
	line := fmt.Sprintf(format, words...)
	if option {
		return "# a name in it begins with a dash, look at it first: " + line
	}
	return line
}

// plain is what no shell makes anything of.
var plain = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// Word is text as (part of) one word of a shell, in one line: what has control characters
// or is not UTF-8 is written in the ANSI-C form that bash, zsh, ksh and POSIX of 2024 know. In that form
// nothing but letters, digits and backslashes stands, so that shells that do not know it
// take another name, and no more.
func Word(text string) string {
	switch {
	case plain.MatchString(text):
		return text
	case !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) || r == utf8.RuneError }):
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	var out strings.Builder
	out.WriteString("$'")
	for _, b := range []byte(text) {
		if b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' {
			out.WriteByte(b)
		} else {
			_, _ = fmt.Fprintf(&out, `\%03o`, b) // of a fixed length: \x41 would take the next letter
		}
	}
	out.WriteByte('\'')
	return out.String()
}

// bare are names that YAML takes for text without quotes, but for words.
var (
	bare  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9./-]*$`)
	words = []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
)

// Scalar is text as one scalar of YAML, in a line of its own or within {} and [].
func Scalar(text string) string {
	if bare.MatchString(text) && !slices.Contains(words, strings.ToLower(text)) {
		return text
	}
	return fmt.Sprintf("%q", text) // Go's escapes are YAML's
}
