package readers

import (
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/strongkeep/strongkeep/internal/vault/audit/search"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
)

func TestVersionsOf(t *testing.T) {
	kv2 := &mount.Mount{Entry: mount.Entry{Type: "kv", Options: map[string]string{"version": "2"}}}
	kv1 := &mount.Mount{Entry: mount.Entry{Type: "kv"}}
	database := &mount.Mount{Entry: mount.Entry{Type: "database"}}
	for _, c := range []struct {
		name, rest, answer string
		m                  *mount.Mount
		version            int64
		ok                 bool
	}{
		{"kv v2", "data/x", `{"data":{"data":{"k":"hmac-sha256:aa"},"metadata":{"version":7}}}`, kv2, 7, true},
		{"kv v2, deleted", "data/x", `{"data":{"data":null,"metadata":{"version":7}}}`, kv2, 7, false},
		{"kv v2, wrapped", "data/x", `{"wrap_info":{"ttl":60}}`, kv2, 0, true},
		{"kv v1 with a member of that name", "x", `{"data":{"version":7}}`, kv1, 0, true},
		{"alternating role", "alternating-creds/app", `{"data":{"version":3}}`, database, 3, true},
		{"dynamic role", "creds/app", `{"data":{"version":3}}`, database, 0, true},
	} {
		if n, ok := versionsOf(c.m, c.rest)(gjson.Parse(c.answer)); n != c.version || ok != c.ok {
			t.Errorf("%s: %d, %v", c.name, n, ok)
		}
	}
}

// More tokens than are counted are said to be.
func TestTooMany(t *testing.T) {
	h := newHeard(question{})
	for i := range maxTokens + 1 {
		h.count(&search.Entry{Accessor: hashed + strings.Repeat("a", 1+i%7) + string(rune('0'+i%10)) + time.Duration(i).String(), Time: time.Unix(int64(i), 0)}, gjson.Result{}, 1)
	}
	if len(h.tokens) != maxTokens || !h.more {
		t.Errorf("%d tokens, more %v", len(h.tokens), h.more)
	}
}

// What is not asked for any more is forgotten.
func TestForgets(t *testing.T) {
	l := log{heard: map[question]*heard{}}
	for i := range maxHeard + 3 {
		q := question{path: time.Duration(i).String()}
		l.keep(q, newHeard(q))
	}
	if len(l.heard) != maxHeard || l.heard[question{path: "0s"}] != nil || l.heard[question{path: time.Duration(maxHeard).String()}] == nil {
		t.Errorf("%d kept", len(l.heard))
	}
}

func FuzzTimeOf(f *testing.F) {
	f.Add([]byte(`@cee: {"time":"2026-03-01T10:00:00.5Z","type":"request"}`))
	f.Add([]byte("x\n" + `{"time":"2026-03-01T10:00:00Z"}`))
	f.Add([]byte(`{"time":"`))
	f.Fuzz(func(t *testing.T, head []byte) {
		if at, ok := timeOf(head); !ok && !at.IsZero() {
			t.Error("a time that is none")
		}
	})
}
