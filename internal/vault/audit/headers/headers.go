package headers

import (
	"context"
	"encoding/json"
	"maps"
	"net/textproto"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Key is where the table is stored: a JSON object of lower-case names, each
// {"hmac":bool}.
const Key = "auditing/request-headers"

// maxHeaders and maxName bound the table.
const (
	maxHeaders = 100
	maxName    = 100
)

// Setting is how one header is audited.
type Setting struct {
	HMAC bool `json:"hmac"`
}

// Table says which headers are audited, by lower-case name. A nil Table is empty.
type Table map[string]Setting

// Reader is what Load needs, Tx what Set and Remove need.
type Reader interface {
	Get(ctx context.Context, key string) (store.Entry, error)
}

// Tx is a Reader that also writes.
type Tx interface {
	Reader
	Put(key string, value []byte)
}

// Load reads the table.
func Load(ctx context.Context, r Reader) (Table, error) {
	entry, err := r.Get(ctx, Key)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "reading the audited request headers: %w", err)
	}
	t := Table{}
	if !entry.Exists() {
		return t, nil
	}
	if err := json.Unmarshal(entry.Value, &t); err != nil {
		return nil, errs.New(errs.Internal, "decoding the audited request headers: they are damaged")
	}
	return t, nil
}

// credentials are headers that are only ever written hashed.
var credentials = []string{"x-vault-token", "authorization", "proxy-authorization", "cookie"}

// Clean brings a header's name into its stored form. Kind Invalid: it is none.
func Clean(name string) (string, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	bad := strings.IndexFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
	if name == "" || len(name) > maxName || bad >= 0 {
		return "", errs.Newf(errs.Invalid, "a header's name has 1 to %d letters, digits and dashes", maxName)
	}
	return name, nil
}

// Set adds or changes a header, whose name is clean.
func Set(ctx context.Context, tx Tx, name string, s Setting) error {
	if !s.HMAC && slices.Contains(credentials, name) {
		return errs.Newf(errs.Invalid, "the header %s holds a credential: it is audited with hmac=true only", name)
	}
	t, err := Load(ctx, tx)
	if err != nil {
		return err
	}
	if _, is := t[name]; !is && len(t) >= maxHeaders {
		return errs.Newf(errs.Exhausted, "%d headers are audited already; remove one first", maxHeaders)
	}
	t[name] = s
	return t.save(tx)
}

// Remove deletes a header, if it is there.
func Remove(ctx context.Context, tx Tx, name string) error {
	t, err := Load(ctx, tx)
	if err != nil {
		return err
	}
	if _, is := t[name]; !is {
		return nil
	}
	delete(t, name)
	return t.save(tx)
}

func (t Table) save(tx Tx) error {
	value, err := json.Marshal(t)
	if err != nil {
		return errs.Newf(errs.Internal, "encoding the audited request headers: %w", err)
	}
	tx.Put(Key, value)
	return nil
}

// Selection is a Table made ready for requests. It never changes; nil selects nothing.
type Selection []selected

type selected struct {
	canonical, name string
	hmac            bool
}

// Select makes t ready.
func (t Table) Select() Selection {
	s := make(Selection, 0, len(t))
	for _, name := range slices.Sorted(maps.Keys(t)) {
		s = append(s, selected{textproto.CanonicalMIMEHeaderKey(name), name, t[name].HMAC})
	}
	return s
}

// Of returns what is audited of headers, whose names are canonical.
func (s Selection) Of(headers map[string][]string) (out []audit.Header) {
	for _, h := range s {
		if values := headers[h.canonical]; len(values) > 0 {
			out = append(out, audit.Header{Name: h.name, Values: values, HMAC: h.hmac})
		}
	}
	return out
}
