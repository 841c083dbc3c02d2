package activity

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Bounds of what is told apart.
const (
	maxLine  = 16 << 20 // bytes; API servers cut bodies far below
	maxNames = 1000     // of one kind of request by one user
	maxActs  = 1 << 20
)

// Log gathers what audit logs show. The zero Log is ready; it is for one goroutine.
type Log struct {
	places []string
	from   time.Time
	to     time.Time
	lost   int
	acts   map[key]*tally
	names  map[key]int // kinds without their name: how many names there are
}

// key is a kind of request by one user.
type key struct{ user, verb, group, resource, sub, namespace, name, path string }

type tally struct {
	groups []string
	// Of a watch both its beginning and its end are written, or one of them.
	started, done, denied int
	last                  time.Time
}

// Activity is what was gathered.
func (l *Log) Activity() *snapshot.Activity {
	a := &snapshot.Activity{Place: strings.Join(l.places, ", "), From: l.from, To: l.to, Lost: l.lost}
	for k, t := range l.acts {
		a.Acts = append(a.Acts, snapshot.Act{
			User: k.user, Groups: t.groups, Verb: k.verb, Group: k.group, Resource: k.resource, Subresource: k.sub, Namespace: k.namespace, Name: k.name, Path: k.path,
			Count: max(t.started, t.done), Denied: t.denied, Last: t.last,
		})
	}
	slices.SortFunc(a.Acts, func(a, b snapshot.Act) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Subresource, b.Subresource),
			cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Verb, b.Verb))
	})
	return a
}

// Add reads a log: JSON lines, or one document with a list. The error is one of
// reading, or that nothing in it was an audit event.
func (l *Log) Add(place string, from io.Reader) error {
	r := bufio.NewReaderSize(from, 1<<16)
	if magic, err := r.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(r)
		if err != nil {
			return errs.Newf(errs.Invalid, "reading the audit log %s: it is no gzip: %w", place, err)
		}
		r = bufio.NewReaderSize(z, 1<<16)
	}
	if l.acts == nil {
		l.acts, l.names = map[key]*tally{}, map[key]int{}
	}
	l.places = append(l.places, place)
	before, lost := len(l.acts), l.lost
	var err error
	if document(r) {
		err = l.document(r)
	} else {
		err = l.lines(r)
	}
	switch {
	case err != nil:
		return errs.Newf(errs.Invalid, "reading the audit log %s: %w", place, err)
	case len(l.acts) == before && l.lost > lost && before == 0:
		return errs.New(errs.Invalid, fmt.Sprintf("reading the audit log %s: none of its %d lines is an audit event: it takes what an API server writes (JSON lines), or EKS, AKS or GKE export", place, l.lost-lost))
	}
	return nil
}

// document reports whether what follows is one JSON document on many lines.
func document(r *bufio.Reader) bool {
	head, _ := r.Peek(4096)
	head = bytes.TrimLeft(head, " \r\n\t")
	if len(head) == 0 {
		return false
	}
	first, _, _ := bytes.Cut(head, []byte("\n"))
	return head[0] == '[' || string(bytes.TrimSpace(first)) == "{"
}

// document reads a list of events, or an object with one, an event at a time.
func (l *Log) document(r io.Reader) error {
	d := json.NewDecoder(r)
	depth := 0
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) && depth == 0 {
			return nil
		}
		if err != nil {
			l.lost++ // cut off: what was there before stands
			return ignored(err)
		}
		switch t {
		case json.Delim('['):
			for d.More() {
				var one json.RawMessage
				if err := d.Decode(&one); err != nil {
					l.lost++
					return ignored(err)
				}
				l.line(one, 0)
			}
		case json.Delim('{'):
			depth++
		case json.Delim('}'):
			depth--
		}
	}
}

// ignored is nil for errors of syntax, which are counted.
func ignored(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// lines reads a line at a time. What stands before the first brace of a line is a
// time or a stream's name, as some tools put it there.
func (l *Log) lines(r *bufio.Reader) error {
	for {
		text, long, err := line(r)
		if i := bytes.IndexByte(text, '{'); long || i < 0 && len(bytes.TrimSpace(text)) > 0 {
			l.lost++
		} else if i >= 0 {
			l.line(text[i:], 0)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF): // a compressed log that was cut off
			l.lost++
			return nil
		case err != nil:
			return err
		}
	}
}

// line reads one. Of one over maxLine only that there was one is told.
func line(r *bufio.Reader) (text []byte, long bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if len(text)+len(part) > maxLine {
			long, text = true, nil
		}
		if !long {
			text = append(text, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return text, long, err
		}
	}
}

// keep counts an event.
func (l *Log) keep(e *event) {
	if e.at.IsZero() {
		l.lost++
		return
	}
	if l.from.IsZero() || e.at.Before(l.from) {
		l.from = e.at
	}
	if e.at.After(l.to) {
		l.to = e.at
	}
	k := l.bounded(e.key)
	t := l.acts[k]
	if t == nil {
		if len(l.acts) >= maxActs {
			l.lost++
			return
		}
		t = &tally{groups: e.groups}
		l.acts[k] = t
	}
	t.count(e)
}

// bounded is k without its name if there are too many of its kind.
func (l *Log) bounded(k key) key {
	if k.name == "" || l.acts[k] != nil {
		return k
	}
	kind := k
	kind.name = ""
	if l.names[kind] >= maxNames {
		k.name = "*"
	} else {
		l.names[kind]++
	}
	return k
}

func (t *tally) count(e *event) {
	switch {
	case e.denied:
		t.denied++
	case e.begun:
		t.started++
	default:
		t.done++
	}
	if e.at.After(t.last) {
		t.last = e.at
	}
}
