package main

import (
	"bytes"
	"io"
)

// placeholder stands in the examples for the address of the vault, which each
// run has another of.
const placeholder = "https://strongkeep.example:8200"

// fill puts the address of the server into a manifest.
func fill(manifest []byte, url string) io.Reader {
	return bytes.NewReader(bytes.ReplaceAll(manifest, []byte(placeholder), []byte(url)))
}
