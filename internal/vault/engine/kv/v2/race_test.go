package v2

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

// interrupted is a read outside a transaction: between its first Get of the
// metadata and the next Get, other requests commit.
type interrupted struct {
	m         mount
	meanwhile func()
}

func (i *interrupted) Get(ctx context.Context, key string) (engine.Entry, error) {
	e, err := i.m.View().Get(ctx, key)
	if do := i.meanwhile; do != nil && strings.HasPrefix(key, "meta/") {
		i.meanwhile = nil
		do()
	}
	return e, err
}

func (i *interrupted) List(context.Context, string, string, int) ([]string, error) { return nil, nil }
func (i *interrupted) Put(string, []byte)                                          {}
func (i *interrupted) Delete(string)                                               {}
func (i *interrupted) Emit(engine.Event)                                           {}

// A read that a write overtakes answers with what was or with what is, never
// with a mixture, and never with an error.
func TestReadOvertaken(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(mount)
		want      string // "" = not there
		status    int
	}{
		"by a write that drops the version": {func(m mount) { m.ok(update, "data/a", `{"data":{"new":1}}`) }, `{"data":{"new":1},"metadata":{"created_time":"2026-03-04T05:06:08.123456789Z",`, 0},
		"by a deletion of all":              {func(m mount) { m.ok(del, "metadata/a", "") }, "", 0},
		"by a destruction":                  {func(m mount) { m.ok(update, "destroy/a", `{"versions":[1]}`) }, `{"data":null,`, 404},
		"by a deletion and a new secret": {func(m mount) {
			m.ok(del, "metadata/a", "")
			m.ok(update, "data/a", `{"data":{"new":1}}`)
		}, `{"data":{"new":1},"metadata":{"created_time":"2026-03-04T05:06:08.123456789Z",`, 0},
		"by a soft deletion": {func(m mount) { m.ok(del, "data/a", "") }, `{"data":{"old":1},`, 0}, // as it was
	} {
		m := newMount(t)
		m.ok(update, "config", `{"max_versions":1}`)
		m.ok(update, "data/a", `{"data":{"old":1}}`)
		m.Advance(time.Second)
		tx := &interrupted{m, func() { c.meanwhile(m) }}
		res, err := readData(t.Context(), tx, &engine.Request{Operation: read, Path: "data/a", Params: map[string]string{"path": "a"}, Time: m.Now()})
		switch {
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case res == nil && c.want != "", res != nil && (c.want == "" || !strings.HasPrefix(string(res.Data), c.want) || res.Status != c.status):
			t.Errorf("%s: %+v, want %s", name, res, c.want)
		}
	}
}

// A version whose data is missing for good is our fault, and does not spin.
func TestMissingData(t *testing.T) {
	m := &metadata{current: 1, versions: []version{{n: 1}}}
	for name, blob := range map[string]string{"missing": "", "of an unknown format": "\x02{}", "empty": "\x01"} {
		tx := fixed{"meta/a": string(m.encode()), "ver/a/1": blob}
		_, err := loadVersion(t.Context(), tx, "a", 1, time.Time{})
		if !errs.Is(err, errs.Internal) || !strings.Contains(err.Error(), "missing or damaged") {
			t.Errorf("%s: %v, want Internal", name, err)
		}
	}
	if _, err := loadVersion(t.Context(), fixed{"meta/a": "\x07"}, "a", 1, time.Time{}); !errs.Is(err, errs.Internal) {
		t.Errorf("damaged metadata: %v, want Internal", err)
	}
}

// Sealing data anew, under a new term of the keyring, gives it a revision above
// its metadata's. It must stay readable.
func TestDataSealedAnew(t *testing.T) {
	m := &metadata{current: 1, versions: []version{{n: 1}}}
	f, err := loadVersion(t.Context(), fixed{"meta/a": string(m.encode()), "ver/a/1": "\x01{}"}, "a", 1, time.Time{})
	if err != nil || string(f.data) != "{}" {
		t.Errorf("%s, %v", f.data, err)
	}
}

// fixed is a Tx whose entries never change; "" is not there.
type fixed map[string]string

func (f fixed) Get(_ context.Context, key string) (engine.Entry, error) {
	if f[key] == "" {
		return engine.Entry{Key: key}, nil
	}
	revision := store.Revision(5)
	if strings.HasPrefix(key, "ver/") {
		revision = 9
	}
	return engine.Entry{Key: key, Value: []byte(f[key]), Revision: revision}, nil
}
func (fixed) Put(string, []byte) {}
func (fixed) Delete(string)      {}
func (fixed) Emit(engine.Event)  {}
func (fixed) List(context.Context, string, string, int) ([]string, error) {
	return nil, nil
}

// Many writers of one secret, as the gate runs them: each success is one
// version, none is lost, and no data is left of versions that were dropped.
func TestManyWriters(t *testing.T) {
	const writers, each = 8, 20
	s := mem.New(mem.Config{})
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	write := func(who, n int) error {
		body, err := engine.ParseBody(fmt.Appendf(nil, `{"data":{"who":%d,"n":%d}}`, who, n))
		if err != nil {
			return err
		}
		req := &engine.Request{Operation: update, Params: map[string]string{"path": "a"}, Body: body, Time: time.Unix(1, 0)}
		for {
			txn := store.Begin(s)
			if _, err := writeData(t.Context(), cachedTx{txn}, req); err != nil {
				return err
			}
			if _, err := txn.Commit(t.Context()); !errs.Is(err, errs.Conflict) {
				return err
			}
		}
	}
	var wait sync.WaitGroup
	for who := range writers {
		wait.Go(func() {
			for n := range each {
				if err := write(who, n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	m, err := load(t.Context(), cachedTx{store.Begin(s)}, "a")
	if err != nil || m.current != writers*each || len(m.versions) != DefaultVersions {
		t.Fatalf("%+v, %v, want %d versions, %d kept", m, err, writers*each, DefaultVersions)
	}
	names, err := s.List(t.Context(), "ver/a/", "", 0)
	if err != nil || len(names) != DefaultVersions {
		t.Errorf("stored versions %v, %v", names, err)
	}
}
