package report

import (
	"fmt"
	"strings"
)

// noteWidth is that of the text below a step.
const noteWidth = 90

// Wrap breaks a text into notes.
func Wrap(text string) []string { return wrap(text, noteWidth) }

// wrap breaks a text between words. A word that is too long stands alone.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// Times is a number of times.
func Times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}
