package readers

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/search"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
)

// question is what is asked of the log.
type question struct {
	namespace, path string
	since           time.Time
}

// Bounds of what is remembered between questions.
const (
	maxHeard  = 64
	maxTokens = 10_000 // of one question
)

// log searches audit files. What it has read of a file it reads no second time
// for the same question, so that asking again costs what was written meanwhile.
type log struct {
	turn  chan struct{} // holds one: whoever put it there has the rest; one search at a time
	heard map[question]*heard
	used  int64  // grows with each question
	salt  []byte // key of hashes where no device has one
}

// take waits for its turn. With it come all that log has and has answered.
func (l *log) take(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errs.Newf(errs.Unavailable, "waiting for another search of the audit log: %w", ctx.Err())
	}
}

func (l *log) give() { <-l.turn }

// heard is what the log has said to one question so far.
type heard struct {
	since  time.Time
	device string
	begun  time.Time // when device was enabled
	files  []part
	tokens map[string]*reads
	more   bool // there were more than maxTokens
	used   int64
	hash   func(accessor string) string

	known map[string]string // accessors by their hashes
	gone  map[string]bool   // hashes of tokens that have ended
}

// part is a file and how much of it was read.
type part struct {
	info os.FileInfo
	end  int64
}

// reads are those of one token.
type reads struct {
	accessor, name, entity, role, remote, kind string
	first, last, ends                          time.Time
	count, version                             int64
	leased                                     bool
}

// version says how an answer names the version of what was read; ok is false for
// an answer that held nothing.
type version func(answer gjson.Result) (n int64, ok bool)

// versionsOf returns how answers of a path of m name their version.
func versionsOf(m *mount.Mount, rest string) version {
	switch {
	case m.Type == "kv" && m.Options["version"] == "2":
		return func(answer gjson.Result) (int64, bool) {
			data, wrapped := answer.Get("data.data"), answer.Get("wrap_info").Exists()
			return answer.Get("data.metadata.version").Int(), wrapped || data.IsObject()
		}
	case m.Type == "database" && strings.HasPrefix(rest, "alternating-creds/"):
		return func(answer gjson.Result) (int64, bool) { return answer.Get("data.version").Int(), true }
	}
	return func(gjson.Result) (int64, bool) { return 0, true }
}

// search returns what the log has said so far, brought up to date, and why that
// may not be all. The caller has the turn.
func (l *log) search(ctx context.Context, b *audit.Broker, q question, v version) (*heard, []string, error) { //nolint:cyclop // flat: a case after the other
	h := l.heard[q]
	if h == nil {
		h = newHeard(q)
	}
	delete(l.heard, q) // one that is broken off begins anew
	from, incomplete := choose(b)
	if from == nil {
		return l.alone(h), incomplete, nil
	}
	if h.device != from.Device || !h.begun.Equal(from.Enabled) {
		*h = *newHeard(q)
	}
	h.device, h.begun, h.hash = from.Device, from.Enabled, from.Hash
	for try := 0; ; try++ {
		reach, err := h.follow(ctx, q, v, from.Files)
		if errors.Is(err, errMoved) && try < 3 {
			if from, incomplete = again(b, h); from != nil {
				*h = heard{since: h.since, device: h.device, begun: h.begun, hash: h.hash, tokens: map[string]*reads{}, known: h.known, gone: h.gone}
				continue
			}
			return l.alone(h), incomplete, nil
		}
		if err != nil {
			return nil, nil, err
		}
		if reach.IsZero() || reach.After(q.since) {
			incomplete = append(incomplete, reaches(from.Device, reach))
		} else if from.Enabled.After(q.since) {
			incomplete = append(incomplete, "the audit device "+from.Device+" was enabled at "+from.Enabled.UTC().Format(time.RFC3339)+": who read before cannot be known")
		}
		break
	}
	if h.more {
		incomplete = append(incomplete, "more tokens have read it than are counted")
	}
	l.keep(q, h)
	return h, incomplete, nil
}

func reaches(device string, reach time.Time) string {
	text := "the audit log of device " + device + " has no line"
	if !reach.IsZero() {
		text = "the audit log of device " + device + " reaches back to " + reach.UTC().Format(time.RFC3339) + " only"
	}
	return text + ": what was read before cannot be known"
}

func newHeard(q question) *heard {
	return &heard{since: q.since, tokens: map[string]*reads{}, known: map[string]string{}, gone: map[string]bool{}}
}

// alone is for where no log can be read: leases are all there is.
func (l *log) alone(h *heard) *heard {
	h.hash = func(accessor string) string {
		mac := hmac.New(sha256.New, l.salt)
		mac.Write([]byte(accessor))
		return hashed + hex.EncodeToString(mac.Sum(nil))
	}
	h.tokens, h.known, h.gone = nil, map[string]string{}, map[string]bool{}
	return h
}

// keep remembers h, and forgets what was not asked for the longest time.
func (l *log) keep(q question, h *heard) {
	l.used++
	h.used = l.used
	l.heard[q] = h
	if len(l.heard) <= maxHeard {
		return
	}
	var oldest question
	for k, other := range l.heard {
		if o := l.heard[oldest]; o == nil || other.used < o.used {
			oldest = k
		}
	}
	delete(l.heard, oldest)
}

// choose returns the log to search, the first of a required device, and why it
// may not have everything; nil: there is none.
func choose(b *audit.Broker) (*audit.Log, []string) {
	var why []string
	logs := b.Logs()
	for i := range logs {
		l := &logs[i]
		if l.Why != "" {
			why = append(why, "audit device "+l.Device+": "+l.Why)
			continue
		}
		if !l.Required {
			return l, []string{"the audit log of device " + l.Device + " may lack lines: it is not required"}
		}
		return l, nil
	}
	if len(logs) == 0 {
		return nil, []string{"no audit device is enabled"}
	}
	return nil, why
}

// again is choose for the device that h is of.
func again(b *audit.Broker, h *heard) (*audit.Log, []string) {
	l, why := choose(b)
	if l != nil && (l.Device != h.device || !l.Enabled.Equal(h.begun)) {
		return nil, []string{"the audit devices changed while the log was read"}
	}
	return l, why
}

// errMoved says that files are not those that were there.
var errMoved = errs.New(errs.Unavailable, "the audit log was moved aside while it was read: try again")

// follow reads what was written since the last time, and returns the time of the
// oldest line there is.
func (h *heard) follow(ctx context.Context, q question, v version, names []string) (reach time.Time, err error) {
	files, err := open(names)
	defer func() {
		for _, f := range files {
			_ = f.Close() // it was only read
		}
	}()
	if err != nil {
		return reach, err
	}
	if len(h.files) > len(files) {
		return reach, errMoved
	}
	for i, f := range files {
		info, err := f.Stat()
		if err != nil {
			return reach, errs.Newf(errs.Unavailable, "looking at an audit file: %w", err)
		}
		if i < len(h.files) && (!os.SameFile(h.files[i].info, info) || info.Size() < h.files[i].end) {
			return reach, errMoved
		}
		if i == len(h.files) {
			h.files = append(h.files, part{info: info})
		}
		if err := h.read(ctx, q, v, logFile{f, info}, &h.files[i]); err != nil {
			return reach, err
		}
	}
	if reach, err = begins(files[0]); err != nil {
		return reach, err
	}
	return reach, still(files, names)
}

func open(names []string) (files []*os.File, err error) {
	for _, name := range names {
		f, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			return files, errMoved
		}
		if err != nil {
			return files, errs.Newf(errs.Unavailable, "opening an audit file: %w", err)
		}
		files = append(files, f)
	}
	return files, nil
}

// still returns errMoved unless the names lead to the files that were read.
func still(files []*os.File, names []string) error {
	for i, f := range files {
		info, err := f.Stat()
		if err != nil {
			return errs.Newf(errs.Unavailable, "looking at an audit file: %w", err)
		}
		if now, err := os.Stat(names[i]); err != nil || !os.SameFile(info, now) {
			return errMoved
		}
	}
	return nil
}

// logFile is one that is open, and what was known of it before it is read.
type logFile struct {
	*os.File
	info os.FileInfo
}

// read reads what is new of one file. What was last written before the time that
// is asked for is not read at all.
func (h *heard) read(ctx context.Context, q question, v version, f logFile, p *part) (err error) {
	if f.info.ModTime().Before(q.since) && p.end == 0 {
		return nil
	}
	s := search.Query{Type: "response", NoErrors: true, Namespace: q.namespace, Since: q.since,
		Path: strings.NewReplacer("*", "*", "+", "*").Replace(q.path)} // a path may have what is a wildcard in a query
	found := func(e *search.Entry) error { h.note(e, q, v); return nil }
	if strings.HasSuffix(f.Name(), ".gz") {
		if p.end == 0 {
			p.end = f.info.Size()
			_, err = search.Files(ctx, s, found, f.Name())
		}
		return err
	}
	p.end, _, err = search.Tail(ctx, s, found, f.File, p.end)
	return err
}

// note counts one line.
func (h *heard) note(e *search.Entry, q question, v version) {
	reads := e.Operation == "read" || e.Operation == "update" && e.Mount == "pki" // that issues a certificate, and its key
	if !reads || e.Path != q.path || e.Namespace != strings.Trim(q.namespace, "/") {
		return
	}
	line := gjson.ParseBytes(e.Raw[slices.Index(e.Raw, '{'):])
	n, ok := v(line.Get("response"))
	if !ok {
		return
	}
	h.count(e, line, n)
}

func (h *heard) count(e *search.Entry, line gjson.Result, version int64) {
	auth := line.Get("auth")
	accessor, plain := e.Accessor, ""
	if accessor != "" && !strings.HasPrefix(accessor, hashed) { // the device writes them as they are
		plain = accessor
		accessor = h.hash(plain)
	}
	key := accessor
	if key == "" { // batch tokens are told apart by who they are, where they are, and when they were made
		key = strings.Join([]string{e.Entity, e.DisplayName, e.Remote, auth.Get("token_issue_time").Str}, "\x00")
	}
	r := h.tokens[key]
	if r == nil {
		if len(h.tokens) >= maxTokens {
			h.more = true
			return
		}
		r = &reads{first: e.Time}
		h.tokens[key] = r
		if plain != "" {
			h.known[accessor] = plain
		}
	}
	r.count++
	if e.Time.Before(r.first) {
		r.first = e.Time
	}
	if e.Time.Before(r.last) {
		return
	}
	role := auth.Get("metadata.role").Str
	if role == "" {
		role = auth.Get("metadata.role_name").Str
	}
	r.accessor, r.name, r.entity, r.role, r.remote, r.kind = accessor, e.DisplayName, e.Entity, role, e.Remote, auth.Get("token_type").Str
	r.last, r.version, r.leased = e.Time, version, line.Get("response.secret.lease_id").Str != ""
	if issued, err := time.Parse(time.RFC3339Nano, auth.Get("token_issue_time").Str); err == nil {
		r.ends = issued.Add(time.Duration(auth.Get("token_ttl").Int()) * time.Second)
	}
}

// hashed begins every hash in an audit log.
const hashed = "hmac-sha256:"

// begins returns the time of the first line of f, zero if it has none.
func begins(f *os.File) (time.Time, error) {
	var r io.Reader = io.NewSectionReader(f, 0, 1<<62)
	if strings.HasSuffix(f.Name(), ".gz") {
		z, err := gzip.NewReader(r)
		if err != nil {
			return time.Time{}, errs.Newf(errs.Unavailable, "reading %s: %w", f.Name(), err)
		}
		r = z
	}
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		head, err := lines.Peek(512)
		if len(head) == 0 {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return time.Time{}, err
		}
		if at, ok := timeOf(head); ok {
			return at, nil
		}
		for skipped := false; !skipped; { // a line that is none
			_, err := lines.ReadSlice('\n')
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				return time.Time{}, nil
			}
			skipped = err == nil
		}
	}
}

// timeOf reads the time that every line begins with, behind its prefix.
func timeOf(head []byte) (time.Time, bool) {
	if i := slices.Index(head, '\n'); i >= 0 {
		head = head[:i]
	}
	const member = `{"time":"`
	_, rest, ok := strings.Cut(string(head), member)
	text, _, closed := strings.Cut(rest, `"`)
	if !ok || !closed {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	return at, err == nil
}
