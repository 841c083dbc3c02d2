package trail

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Trail is what an audit log tells.
type Trail struct {
	Lines       int // of requests and responses
	Checkpoints int // lines in between that sign those above
	Hashed      int // values that stand as their hash only
	// Unanswered is the requests without an answer's line: those under way
	// when the server was killed.
	Unanswered int

	access map[Access]int
}

// Access is one kind of exchange.
type Access struct {
	Who       string // ServiceAccount "namespace/name", else the token's display name; empty: nobody yet
	Operation string // "read", "update", …
	Path      string
	Error     string // why it was refused; empty: it was not
}

// line has the members of an audit line that we look at.
type line struct {
	Type string
	Auth struct {
		DisplayName string `json:"display_name"`
		Metadata    struct {
			Namespace string `json:"service_account_namespace"`
			Name      string `json:"service_account_name"`
		}
	}
	Request struct {
		ID, Operation, Path string
	}
	Error string
}

// hashPrefix is what the hash of a value begins with.
const hashPrefix = `"hmac-sha256:`

// Read reads a log to its end. Every line must be one JSON object.
func Read(r io.Reader) (*Trail, error) {
	t := &Trail{access: map[Access]int{}}
	open := map[string]bool{}
	d := json.NewDecoder(r)
	for {
		var raw json.RawMessage
		err := d.Decode(&raw)
		if errors.Is(err, io.EOF) {
			t.Unanswered = len(open)
			return t, nil
		}
		var l line
		if err == nil {
			err = json.Unmarshal(raw, &l)
		}
		number := t.Lines + t.Checkpoints + 1
		if err != nil {
			return nil, fmt.Errorf("reading audit line %d: %w", number, err)
		}
		if l.Type == "checkpoint" {
			t.Checkpoints++
			continue
		}
		t.Lines++
		t.Hashed += bytes.Count(raw, []byte(hashPrefix))
		switch l.Type {
		case "request":
			open[l.Request.ID] = true
		case "response":
			delete(open, l.Request.ID)
			t.access[Access{Who: l.who(), Operation: l.Request.Operation, Path: l.Request.Path, Error: l.Error}]++
		default:
			return nil, fmt.Errorf("reading audit line %d: type %q is neither request, response nor checkpoint", number, l.Type)
		}
	}
}

func (l *line) who() string {
	if m := l.Auth.Metadata; m.Name != "" {
		return m.Namespace + "/" + m.Name
	}
	return l.Auth.DisplayName
}

// Count returns how many answered exchanges match.
func (t *Trail) Count(match func(Access) bool) int {
	n := 0
	for a, times := range t.access {
		if match(a) {
			n += times
		}
	}
	return n
}

// Find returns the kinds of exchange that match, in order.
func (t *Trail) Find(match func(Access) bool) []Access {
	var found []Access
	for a := range t.access {
		if match(a) {
			found = append(found, a)
		}
	}
	slices.SortFunc(found, func(a, b Access) int {
		return strings.Compare(a.Who+"\x00"+a.Path+"\x00"+a.Operation+"\x00"+a.Error, b.Who+"\x00"+b.Path+"\x00"+b.Operation+"\x00"+b.Error)
	})
	return found
}
