package search

import (
	"bytes"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/tidwall/gjson"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Query says which entries are wanted: those that all set fields fit.
type Query struct {
	Type        string // "request", "response" or "" for both
	Path        string // a glob: * stands for anything, + for one segment
	Operation   string // "read", "update", …
	Accessor    string // of the token, as the log has it: hashed unless hmac_accessor=false
	Entity      string // ID
	DisplayName string // a glob
	Namespace   string // path, without slashes at the ends
	Mount       string // type of the mount: "kv"
	Remote      string // address
	RequestID   string
	Error       string // a part of the error's text
	OnlyErrors  bool
	NoErrors    bool
	Since       time.Time // inclusive
	Until       time.Time // exclusive
	Contains    string    // anywhere in the line, such as a hash by sys/audit-hash
}

// matcher is a Query made ready.
type matcher struct {
	Query
	needles [][]byte // stand in every line that fits
	path    glob
	name    glob
	head    []byte // `"type":"response"`, looked for at the line's head only
	since   string // as the log writes times, to the second
	until   string
}

func newMatcher(q Query) (*matcher, error) {
	switch q.Type {
	case "", "request", "response":
	default:
		return nil, errs.Newf(errs.Invalid, "type %q: use request, response or all", q.Type)
	}
	if q.OnlyErrors && q.NoErrors {
		return nil, errs.New(errs.Invalid, "errors only and no errors exclude each other")
	}
	m := &matcher{Query: q, path: newGlob(q.Path), name: newGlob(q.DisplayName)}
	m.need(`"path":"`, longest(q.Path, "*+"), q.Path)
	m.need(`"display_name":"`, longest(q.DisplayName, "*"), q.DisplayName)
	for _, exact := range []struct{ member, value string }{
		{"operation", q.Operation}, {"entity_id", q.Entity}, {"mount_type", q.Mount}, {"remote_address", q.Remote}, {"id", q.RequestID},
	} {
		if exact.value != "" {
			m.needles = append(m.needles, []byte(`"`+exact.member+`":`+quoted(exact.value)))
		}
	}
	for _, part := range []string{q.Accessor, q.Contains} {
		if part != "" {
			m.needles = append(m.needles, []byte(inner(part)))
		}
	}
	if q.OnlyErrors || q.Error != "" {
		m.needles = append(m.needles, []byte(`"error":"`))
	}
	if q.Type != "" {
		m.head = []byte(`","type":"` + q.Type + `"`)
	}
	m.since, m.until = second(q.Since), second(q.Until)
	return m, nil
}

// need adds what stands in every line whose member fits a glob: its beginning
// up to the first wildcard, with the name before, else its longest fixed part.
func (m *matcher) need(member, part, pattern string) {
	if pattern == "" {
		return
	}
	head, _, wild := strings.Cut(pattern, "*")
	if i := strings.IndexByte(head, '+'); i >= 0 && member == `"path":"` {
		head, wild = head[:i], true
	}
	switch {
	case !wild:
		m.needles = append(m.needles, []byte(member+inner(head)+`"`))
	case head != "":
		m.needles = append(m.needles, []byte(member+inner(head)))
	}
	if part != "" && part != head {
		m.needles = append(m.needles, []byte(inner(part)))
	}
}

// longest returns the longest part of a pattern between wildcards.
func longest(pattern, wildcards string) (part string) {
	for p := range strings.FieldsFuncSeq(pattern, func(r rune) bool { return strings.ContainsRune(wildcards, r) }) {
		if len(p) > len(part) {
			part = p
		}
	}
	return part
}

// quoted returns s as the log writes it.
func quoted(s string) string {
	q, _ := jsontext.AppendQuote(nil, s) // it only says what it had to replace
	return string(q)
}

func inner(s string) string { q := quoted(s); return q[1 : len(q)-1] }

// second is how lines of that second or later begin their time: text compares
// as time does.
func second(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05")
}

// candidate reports whether line may fit, by its bytes alone.
func (m *matcher) candidate(line []byte) bool {
	if m.head != nil {
		head := line[:min(len(line), 256)]
		if !bytes.Contains(head, m.head) {
			return false
		}
	}
	for _, n := range m.needles {
		if !bytes.Contains(line, n) {
			return false
		}
	}
	return m.inTime(line)
}

const timeMember = `{"time":"`

// inTime compares to the second, which is enough to pass over.
func (m *matcher) inTime(line []byte) bool {
	if m.since == "" && m.until == "" {
		return true
	}
	i := bytes.Index(line[:min(len(line), 256)], []byte(timeMember))
	if i < 0 || len(line) < i+len(timeMember)+19 {
		return true // the JSON says more
	}
	at := string(line[i+len(timeMember):][:19])
	return (m.since == "" || at >= m.since) && (m.until == "" || at <= m.until)
}

// Entry is one line that fits.
type Entry struct {
	File        string    `json:"file"`
	Line        int64     `json:"line"` // from 1
	Time        time.Time `json:"time"`
	Type        string    `json:"type"`
	Operation   string    `json:"operation,omitempty"`
	Path        string    `json:"path,omitempty"`
	Namespace   string    `json:"namespace,omitempty"`
	Mount       string    `json:"mount_type,omitempty"`
	DisplayName string    `json:"display_name,omitempty"`
	Entity      string    `json:"entity_id,omitempty"`
	Accessor    string    `json:"accessor,omitempty"`
	Remote      string    `json:"remote_address,omitempty"`
	RequestID   string    `json:"request_id,omitempty"`
	Error       string    `json:"error,omitempty"`
	Raw         []byte    `json:"-"` // the whole line, without its end; valid during the call
}

// verdict is what a line is found to be.
type verdict uint8

const (
	other  verdict = iota // fits not
	fits                  // is wanted
	broken                // is no entry
)

// look decodes a candidate.
func (m *matcher) look(line []byte) (Entry, verdict) {
	open := bytes.IndexByte(line, '{')
	if open < 0 || !gjson.ValidBytes(line[open:]) {
		return Entry{}, broken
	}
	e := Entry{Raw: line}
	var at, tokenAccessor string
	gjson.ParseBytes(line[open:]).ForEach(func(name, v gjson.Result) bool {
		switch name.Str {
		case "time":
			at = v.Str
		case "type":
			e.Type = v.Str
		case "error":
			e.Error = v.Str
		case "auth":
			e.auth(v)
		case "request":
			tokenAccessor = e.request(v)
		}
		return true
	})
	var err error
	if e.Time, err = time.Parse(time.RFC3339Nano, at); err != nil {
		return Entry{}, broken
	}
	if e.Accessor == "" {
		e.Accessor = tokenAccessor
	}
	if m.fits(&e) {
		return e, fits
	}
	return e, other
}

func (e *Entry) auth(auth gjson.Result) {
	auth.ForEach(func(name, v gjson.Result) bool {
		switch name.Str {
		case "accessor":
			e.Accessor = v.Str
		case "display_name":
			e.DisplayName = v.Str
		case "entity_id":
			e.Entity = v.Str
		}
		return true
	})
}

func (e *Entry) request(request gjson.Result) (tokenAccessor string) {
	request.ForEach(func(name, v gjson.Result) bool {
		switch name.Str {
		case "id":
			e.RequestID = v.Str
		case "operation":
			e.Operation = v.Str
		case "mount_type":
			e.Mount = v.Str
		case "client_token_accessor":
			tokenAccessor = v.Str
		case "namespace":
			e.Namespace = strings.Trim(v.Get("path").Str, "/")
		case "path":
			e.Path = v.Str
		case "remote_address":
			e.Remote = v.Str
		}
		return true
	})
	return tokenAccessor
}

func (m *matcher) fits(e *Entry) bool {
	if e.Type != "request" && e.Type != "response" || m.Type != "" && e.Type != m.Type {
		return false
	}
	for _, exact := range [...]struct{ want, is string }{
		{m.Operation, e.Operation}, {m.Entity, e.Entity}, {m.Mount, e.Mount}, {m.Remote, e.Remote},
		{m.RequestID, e.RequestID}, {m.Accessor, e.Accessor}, {strings.Trim(m.Namespace, "/"), e.Namespace},
	} {
		if exact.want != "" && exact.want != exact.is {
			return false
		}
	}
	return m.fitsText(e) && (m.Since.IsZero() || !e.Time.Before(m.Since)) && (m.Until.IsZero() || e.Time.Before(m.Until))
}

func (m *matcher) fitsText(e *Entry) bool {
	switch {
	case m.OnlyErrors && e.Error == "", m.NoErrors && e.Error != "":
		return false
	case m.Error != "" && !strings.Contains(e.Error, m.Error):
		return false
	}
	return m.path.match(e.Path) && m.name.match(e.DisplayName)
}
