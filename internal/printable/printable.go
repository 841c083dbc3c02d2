package printable

import (
	"strings"
	"unicode"
)

// Line is text as part of one line of a table or tree: what is not graphic (control
// characters, line ends and tabs, marks that turn the direction of writing) becomes
// U+FFFD, as does what is not UTF-8. So nothing wipes a row above or makes one of its own.
func Line(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// Text is like Line for what may have many lines, such as an error or a PEM block: line
// ends and tabs stay.
func Text(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !unicode.IsGraphic(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ReplaceAll(text, "\r\n", "\n"))
}
