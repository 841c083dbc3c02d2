package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	node "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

// Limits of a document and of an object in it. Parts are what becomes a value of its
// own in memory, which takes many times the bytes that it has in the text. An API
// server takes objects of 3 MiB.
const (
	largestYAML   = 64 << 20
	maxPartsYAML  = 4 << 20
	maxPartsJSON  = 16 << 20
	largestObject = 4 << 20
	maxParts      = 1 << 19
)

// Objects returns what a document has, as JSON: one object, or several of JSON that
// follow each other. wrong says why it has none; "" if nothing is wrong with it. The
// parser's own words may quote the document, and are never told.
func Objects(text []byte) (all []json.RawMessage, wrong string) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	inner := content(text)
	flow := bytes.HasPrefix(inner, []byte("{"))
	if flow {
		if crowded(text, maxPartsJSON) {
			return nil, "it has too many parts: split it"
		}
		if all, ok := stream(inner); ok {
			return all, ""
		}
	}
	if len(text) > largestYAML || crowded(text, maxPartsYAML) {
		return nil, "it is over 64 MiB of YAML, or has too many parts: make the dump as JSON, or split it"
	}
	raw, err := yaml.YAMLToJSON(text)
	if err != nil || flow && followed(text) {
		return nil, "this is not YAML, or it was cut off"
	}
	if string(raw) == "null" {
		return nil, ""
	}
	return []json.RawMessage{raw}, ""
}

// content is a document from its first byte that is neither blank, nor of a comment, a
// directive or its mark.
func content(text []byte) []byte {
	for {
		text = bytes.TrimSpace(text)
		switch {
		case bytes.HasPrefix(text, []byte("---")):
			text = text[3:]
		case bytes.HasPrefix(text, []byte("#")), bytes.HasPrefix(text, []byte("%")):
			_, text, _ = bytes.Cut(text, []byte("\n"))
		default:
			return text
		}
	}
}

// TooLarge reports whether an object, which is no list, is one that no API server takes.
func TooLarge(object []byte) bool { return len(object) > largestObject || crowded(object, maxParts) }

// stream are the objects of JSON that follow each other, if text is nothing else.
func stream(text []byte) ([]json.RawMessage, bool) {
	var all []json.RawMessage
	d := json.NewDecoder(bytes.NewReader(text))
	for {
		var one json.RawMessage
		switch err := d.Decode(&one); {
		case errors.Is(err, io.EOF):
			return all, true
		case err != nil:
			return nil, false
		}
		all = append(all, one)
	}
}

// followed reports whether something stands behind a mapping in braces, which the
// parser passes over.
func followed(text []byte) bool {
	var n node.Node
	d := node.NewDecoder(bytes.NewReader(text))
	return d.Decode(&n) != nil || !errors.Is(d.Decode(&n), io.EOF)
}

// crowded reports whether a text may have more parts than limit: whatever begins one in
// JSON, or in YAML, is counted, also where it is within a string.
func crowded(text []byte, limit int) bool {
	if len(text) <= limit {
		return false
	}
	n := 0
	for _, of := range []string{"\n", ",", "{", "[", "- ", "? "} {
		n += bytes.Count(text, []byte(of))
	}
	return n > limit
}
