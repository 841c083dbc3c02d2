package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// placeholder stands in the examples for the address of the vault, which each
// run has another of.
const placeholder = "https://strongkeep.example:8200"

// fill puts the address of the server into a manifest.
func fill(manifest []byte, url string) io.Reader {
	return bytes.NewReader(bytes.ReplaceAll(manifest, []byte(placeholder), []byte(url)))
}

// noteWidth is that of the text below a step.
const noteWidth = 90

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

func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}
