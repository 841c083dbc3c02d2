//go:build unix

package configure_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/config"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/configure"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

// etcd stands in for one, with what lies in it by key.
type etcd struct {
	values   map[string]string
	revision int64              // of every value
	reading  func(first string) // called before each reading, with its first folder
}

func (e *etcd) Read(_ context.Context, folders []string, visit func(stored.Entry)) (stored.Origin, error) {
	if e.reading != nil {
		e.reading(folders[0])
	}
	for key, value := range e.values {
		for _, f := range folders {
			if strings.HasPrefix(key, f) {
				visit(stored.Entry{Key: []byte(key), Value: []byte(value), Revision: e.revision})
			}
		}
	}
	return stored.Origin{Source: "etcd", Revision: 7, Instants: 1}, nil
}

const (
	underPlugin = "k8s:enc:kms:v2:strongkeep:\x0a\x01x\x12\x01k\x1a\x01y"
	underOld    = "k8s:enc:aescbc:v1:old:data"
	inClear     = "k8s\x00"
)

// newFinal is a node, and another one, all of whose API servers write with the plugin,
// and an etcd that needs nothing else.
func newFinal(t *testing.T) (*node, *server, *etcd) {
	t.Helper()
	n := newNode(t, "k1")
	other := n.another(&server{id: "two", hash: config.Hash([]byte(begin)), reads: n.cfg.File})
	for range 2 {
		n.run(0, "")
	}
	for i := range n.api.leases {
		n.api.leases[i].ResourceVersion = "7"
	}
	n.said = nil
	e := &etcd{revision: 7, values: map[string]string{"/registry/secrets/a/one": underPlugin, "/registry/leases/kube-system/" + n.api.id: inClear, "/registry/leases/kube-system/two": inClear}}
	n.cfg.Final, n.cfg.Stored = true, e
	return n, other, e
}

// What nothing needs goes, on this node first; and the way back gives it its place again.
func TestFinal(t *testing.T) {
	n, other, _ := newFinal(t)
	other.mu.Lock()
	other.reads = "" // the other node has a file of its own
	other.mu.Unlock()
	if s := n.run(0, ""); s.Servers[0].Which != "this" || s.Servers[1].Which != "before" || !s.Servers[0].Alone || s.Alone() {
		t.Fatalf("%+v", s)
	}
	if text := n.has(); strings.Contains(text, "identity: {}") || strings.Contains(text, "aescbc") || !strings.Contains(text, "name: strongkeep") {
		t.Errorf("it has:\n%s", text)
	}
	if text, err := os.ReadFile(n.cfg.File + ".previous"); err != nil || !strings.Contains(string(text), "identity: {}") {
		t.Error("the file before is not kept:", err)
	}
	other.mu.Lock()
	other.reads = n.cfg.File
	other.mu.Unlock()
	if s := n.run(0, ""); !s.Done() || !s.Alone() {
		t.Fatalf("%+v", s)
	}
	n.cfg.Final, n.cfg.Goal.Back = false, true
	if s := n.run(0, ""); s.Stage != config.Reads || !strings.Contains(n.has(), "identity: {}") {
		t.Fatalf("on the way back: %+v", s)
	}
}

// On the way back it is the plugin that goes in the end.
func TestFinalBack(t *testing.T) {
	n, _, e := newFinal(t)
	n.cfg.Final, n.cfg.Goal.Back = false, true
	n.run(0, "")
	n.cfg.Final = true
	n.refused(errs.Conflict, "1 values of secrets in etcd are under kms-v2/strongkeep, which could not be read without kms-v2/strongkeep, aescbc/old")
	e.values["/registry/secrets/a/one"] = inClear
	if s := n.run(0, ""); !s.Alone() || strings.Contains(n.has(), "kms") {
		t.Fatalf("%+v\n%s", s, n.has())
	}
}

// Nothing is taken away that is not proven to be unused, by the right etcd, right now.
func TestFinalRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*node, *server, *etcd)
		kind   errs.Kind
		want   string
	}{
		"no etcd":          {func(n *node, _ *server, _ *etcd) { n.cfg.Stored = nil }, errs.Invalid, "say where etcd is"},
		"in the clear":     {func(_ *node, _ *server, e *etcd) { e.values["/registry/secrets/a/two"] = inClear }, errs.Conflict, "1 values of secrets in etcd are under clear"},
		"an old key":       {func(_ *node, _ *server, e *etcd) { e.values["/registry/secrets/a/two"] = underOld }, errs.Conflict, "under aescbc/old"},
		"broken":           {func(_ *node, _ *server, e *etcd) { e.values["/registry/secrets/a/two"] = "k8s:enc:kms:v2:strongkeep:x" }, errs.Conflict, "under broken"},
		"no value":         {func(_ *node, _ *server, e *etcd) { delete(e.values, "/registry/secrets/a/one") }, errs.Conflict, "etcd has no value of secrets"},
		"another's etcd":   {func(_ *node, _ *server, e *etcd) { delete(e.values, "/registry/leases/kube-system/two") }, errs.Conflict, "not the etcd of these API servers"},
		"an old copy":      {func(_ *node, _ *server, e *etcd) { e.revision = 6 }, errs.Conflict, "or an old copy"},
		"another prefix":   {func(n *node, _ *server, _ *etcd) { n.cfg.EtcdPrefix = "/other" }, errs.Conflict, "not the etcd of these API servers"},
		"keys that differ": {func(_ *node, other *server, _ *etcd) { other.key = "k2" }, errs.Conflict, "have not one key"},
		"another still reads only": {func(n *node, other *server, _ *etcd) {
			before, err := os.ReadFile(n.cfg.File + ".previous")
			if err != nil {
				n.Fatal(err)
			}
			other.reads, other.hash = "", config.Hash(before)
		}, errs.Conflict, "is not ready for the next step"},
		"another takes a file meanwhile": {func(_ *node, other *server, e *etcd) {
			e.reading = func(folder string) {
				if strings.Contains(folder, "secrets") {
					other.mu.Lock()
					other.reads, other.hash = "", "sha256:another"
					other.mu.Unlock()
				}
			}
		}, errs.Conflict, "a file in force that is not this node's"},
		"it took its file just now": {func(n *node, other *server, _ *etcd) {
			other.reloaded, n.cfg.Wait = time.Now().Add(time.Hour), 50*time.Millisecond
		}, errs.Unavailable, "has had its file for 1m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			n, other, e := newFinal(t)
			c.change(n, other, e)
			n.refused(c.kind, c.want)
		})
	}
}

// The proof behind the step: what came in the clear meanwhile has the file before put back.
func TestFinalIsTakenBack(t *testing.T) {
	n, _, e := newFinal(t)
	readings := 0
	e.reading = func(folder string) {
		if !strings.Contains(folder, "secrets") {
			return
		}
		if readings++; readings == 2 {
			e.values["/registry/secrets/a/late"] = inClear
		}
	}
	n.refused(errs.Conflict, "after the step: 1 values of secrets in etcd are under clear")
}

// Of a file of one's own only that may go which nothing needs.
func TestFinalFrom(t *testing.T) {
	n, _, e := newFinal(t)
	n.cfg.From = n.cfg.File + ".new"
	var without string
	for line := range strings.Lines(n.has()) {
		if !strings.Contains(line, "identity: {}") {
			without += line
		}
	}
	if err := os.WriteFile(n.cfg.From, []byte(without), 0o600); err != nil {
		t.Fatal(err)
	}
	n.cfg.Final = false
	n.refused(errs.Invalid, "identity is taken from secrets")
	n.cfg.Final = true
	e.values["/registry/secrets/a/old"] = underOld // which that file still reads
	n.run(0, "")
	if n.has() != without {
		t.Errorf("it has:\n%s", n.has())
	}
	if _, err := configure.Look(t.Context(), n.cfg); err != nil {
		t.Error(err)
	}
}

// A run that did not see the file in force, and so proved nothing behind the step, is followed by
// one that does, and says no success before.
func TestFinalProvenLater(t *testing.T) {
	n, _, e := newFinal(t)
	n.api.mu.Lock()
	n.api.reads = "" // it takes a restart
	n.api.mu.Unlock()
	n.cfg.Wait = 5 * time.Second // of which looking at the API servers before takes a part
	n.run(errs.Unavailable, "or a restart")
	n.api.mu.Lock()
	n.api.reads = n.cfg.File
	n.api.mu.Unlock()
	n.cfg.Wait = time.Minute
	e.values["/registry/secrets/a/late"] = inClear
	n.run(errs.Conflict, "under clear")
	delete(e.values, "/registry/secrets/a/late")
	readings := 0
	e.reading = func(string) { readings++ }
	if n.run(0, ""); readings == 0 {
		t.Error("success is said without a look at etcd")
	}
}

// An API server that tells of no file may have one: on the way back nothing is written then.
func TestBackWithoutHash(t *testing.T) {
	n, _, e := newFinal(t)
	n.cfg.Final, n.cfg.Goal.Back = false, true
	n.run(0, "")
	n.cfg.Final = true
	e.values["/registry/secrets/a/one"] = inClear
	n.another(&server{id: "silent"})
	n.refused(errs.Conflict, "tells of no file")
}
