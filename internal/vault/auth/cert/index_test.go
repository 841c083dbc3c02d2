package cert

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// tx runs f on the mount's storage.
func (w *world) tx(f func(ctx context.Context, tx engine.Tx) error) {
	w.t.Helper()
	if err := w.engine.cfg.Update(context.Background(), f); err != nil {
		w.t.Fatal(err)
	}
}

// candidates are whom a login of shown looks at.
func (w *world) candidates(shown ...*x509.Certificate) (names []string) {
	w.t.Helper()
	w.tx(func(ctx context.Context, tx engine.Tx) (err error) {
		names, err = w.engine.candidates(ctx, tx, shown)
		return err
	})
	return names
}

// marks are all there are, "<hash>/<role>".
func (w *world) marks() (all []string) {
	w.tx(func(ctx context.Context, tx engine.Tx) error {
		all = nil
		folders, err := tx.List(ctx, anchorFolder, "", 0)
		for _, folder := range folders {
			roles, err := tx.List(ctx, anchorFolder+folder, "", 0)
			if err != nil {
				return err
			}
			for _, r := range roles {
				all = append(all, folder+r)
			}
		}
		return err
	})
	return all
}

func (c *ca) under(name string, root *ca) *ca {
	between := newCA(c.t, name)
	between.cert = c.make(&x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: begin.Add(-time.Hour), NotAfter: begin.Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, root.cert, between.key, root.key)
	return between
}

// A login without a name looks at the roles that could trust the chain, and
// finds the one that it would find if it looked at all.
func TestOnlyCandidatesAreLookedAt(t *testing.T) {
	w := newWorld(t, nil) // role app trusts w.ca
	other, crowd := newCA(t, "others"), strings.Builder{}
	twin := newCA(t, "clients") // of the same name as w.ca, and another
	between := w.ca.under("between", w.ca)
	own := other.leaf(nil)
	for range maxAnchors {
		crowd.WriteString(newCA(t, fmt.Sprint("crowd-", crowd.Len())).pem())
	}
	for name, pem := range map[string]string{
		"b-other": other.pem(), "c-twin": twin.pem(), "d-between": between.pem(), "e-leaf": toPEM(own),
		"f-both": w.ca.pem() + other.pem(), "g-crowd": crowd.String() + other.pem(),
	} {
		w.write("certs/"+name, map[string]any{"certificate": pem, "token_policies": "app"})
	}
	deep := between.leaf(nil)
	for _, c := range []struct {
		what  string
		shown []*x509.Certificate
		want  string // all looked at
		role  string // the one that lets in, "" = none
	}{
		{"of the first CA", []*x509.Certificate{w.ca.leaf(nil)}, "app c-twin f-both g-crowd", "app"},
		{"of its twin", []*x509.Certificate{twin.leaf(nil)}, "app c-twin f-both g-crowd", "c-twin"},
		{"of another CA", []*x509.Certificate{other.leaf(nil)}, "b-other f-both g-crowd", "b-other"},
		{"trusted itself", []*x509.Certificate{own}, "b-other e-leaf f-both g-crowd", "b-other"},
		{"of an intermediate that is trusted", []*x509.Certificate{deep}, "d-between g-crowd", "d-between"},
		{"with its intermediate", []*x509.Certificate{deep, between.cert}, "app c-twin d-between f-both g-crowd", "app"},
		{"a CA's own", []*x509.Certificate{between.cert}, "app c-twin d-between f-both g-crowd", "app"},
		{"unknown", []*x509.Certificate{newCA(t, "strangers").leaf(nil)}, "g-crowd", ""},
	} {
		if got := strings.Join(w.candidates(c.shown...), " "); got != c.want {
			t.Errorf("%s: looks at %s, want %s", c.what, got, c.want)
		}
		indexed, err := w.login(c.shown...)
		if err == nil && indexed.Metadata["cert_name"] != c.role || err != nil && c.role != "" {
			t.Errorf("%s: %+v %v, want role %q", c.what, indexed, err, c.role)
		}
		w.tx(func(_ context.Context, tx engine.Tx) error { tx.Delete(anchoredKey); return nil })
		if got := w.candidates(c.shown...); len(got) != 7 {
			t.Errorf("without an index: looks at %v", got)
		}
		all, allErr := w.login(c.shown...)
		if (err == nil) != (allErr == nil) || err == nil && indexed.Metadata["cert_name"] != all.Metadata["cert_name"] {
			t.Errorf("%s: %+v %v by the index, %+v %v by all", c.what, indexed, err, all, allErr)
		}
		w.tx(func(_ context.Context, tx engine.Tx) error { tx.Put(anchoredKey, mark); return nil })
	}
}

// The marks follow what roles trust, and go with them.
func TestMarksFollowTheRole(t *testing.T) {
	w := newWorld(t, nil)
	other := newCA(t, "others")
	if got := w.marks(); len(got) != 1 {
		t.Fatal(got)
	}
	w.write("certs/app", map[string]any{"certificate": other.pem()})
	if _, err := w.login(other.leaf(nil)); err != nil {
		t.Error(err)
	}
	w.refuses("of the CA of before", w.ca.leaf(nil))
	w.write("certs/app", map[string]any{"token_ttl": 60})
	if got := w.marks(); len(got) != 1 {
		t.Error(got)
	}
	w.write("certs/app", map[string]any{"certificate": other.pem() + w.ca.pem() + other.pem() + toPEM(other.leaf(nil))})
	if got := w.marks(); len(got) != 3 {
		t.Error(got)
	}
	if _, err := w.login(w.ca.leaf(nil)); err != nil {
		t.Error(err)
	}
	if _, err := w.Do(engine.Delete, "certs/app", ""); err != nil {
		t.Fatal(err)
	}
	if got := w.marks(); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
	w.refuses("of a deleted role", w.ca.leaf(nil))
}

// In a mount of before there was an index every role is looked at, also those
// that are changed, until it is filled anew.
func TestRolesFromBeforeTheIndex(t *testing.T) {
	w := newWorld(t, nil)
	w.tx(func(_ context.Context, tx engine.Tx) error {
		for _, m := range w.engine.roleAnchors(t, tx, "app") {
			tx.Delete(anchorFolder + m + "/app")
		}
		tx.Delete(anchoredKey)
		return nil
	})
	leaf := w.ca.leaf(nil)
	if _, err := w.login(leaf); err != nil {
		t.Error(err)
	}
	w.write("certs/b", map[string]any{"certificate": newCA(t, "others").pem(), "token_policies": "b"})
	w.write("certs/app", map[string]any{"token_ttl": 60})
	if a, err := w.login(leaf); err != nil || a.Metadata["cert_name"] != "app" {
		t.Errorf("%+v %v", a, err)
	}
	for _, name := range []string{"app", "b"} {
		if _, err := w.Do(engine.Delete, "certs/"+name, ""); err != nil {
			t.Fatal(err)
		}
	}
	w.write("certs/app", map[string]any{"certificate": w.ca.pem(), "token_policies": "app"})
	w.write("certs/b", map[string]any{"certificate": newCA(t, "others").pem(), "token_policies": "b"})
	if got := w.candidates(leaf); !slices.Equal(got, []string{"app"}) {
		t.Errorf("looks at %v", got)
	}
	if _, err := w.login(leaf); err != nil {
		t.Error(err)
	}
}

func (e *Engine) roleAnchors(t *testing.T, tx engine.Tx, name string) []string {
	r, err := e.roles.Load(context.Background(), tx, name)
	if err != nil || r == nil {
		t.Fatal(r, err)
	}
	return r.anchors()
}

// A login without a name, with 10,000 roles: each of a CA of its own, or all of
// one and told apart by names.
func BenchmarkLogin(b *testing.B) {
	const roles = 10_000
	for _, c := range []struct {
		name  string
		shape func(w *world, i int) map[string]any
	}{
		{"own-CAs", func(w *world, i int) map[string]any {
			if i == roles/2 {
				return map[string]any{"certificate": w.ca.pem()}
			}
			return map[string]any{"certificate": newCA(b, fmt.Sprint("ca-", i)).pem()}
		}},
		{"one-CA", func(w *world, i int) map[string]any {
			name := fmt.Sprintf("app-%d.*", i)
			if i == roles/2 {
				name = "my-app.*"
			}
			return map[string]any{"certificate": w.ca.pem(), "allowed_dns_sans": name}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(b, map[string]any{"allowed_dns_sans": "nobody"})
			for i := range roles {
				body := c.shape(w, i)
				body["token_policies"] = "app"
				w.write(fmt.Sprintf("certs/role-%05d", i), body)
			}
			leaf := w.ca.leaf(nil)
			if a, err := w.login(leaf); err != nil || a.Metadata["cert_name"] != fmt.Sprintf("role-%05d", roles/2) {
				b.Fatal(a, err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.login(leaf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
