package search

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// CheckPrefilter fails unless a line that fits is a candidate.
func CheckPrefilter(t *testing.T, q Query, path, name, operation, errText string) {
	m, err := newMatcher(q)
	if err != nil {
		return
	}
	line := []byte(`{"time":"2026-03-01T10:00:00Z","type":"response","auth":{"display_name":`)
	line, _ = jsontext.AppendQuote(line, name)
	line = append(line, `},"request":{"operation":`...)
	line, _ = jsontext.AppendQuote(line, operation)
	line = append(line, `,"path":`...)
	line, _ = jsontext.AppendQuote(line, path)
	line = append(line, `},"error":`...)
	line, _ = jsontext.AppendQuote(line, errText)
	line = append(line, '}')
	if _, v := m.look(line); v == fits && !m.candidate(line) {
		t.Errorf("%s fits %+v and is passed over", line, q)
	}
}
