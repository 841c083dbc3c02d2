package pki

import (
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// A role of anything is stored whole or refused, and what is stored can be used.
func FuzzRole(f *testing.F) {
	f.Add(`{"allowed_domains":"example.com","key_type":"ec"}`)
	f.Add(`{"allowed_other_sans":"1.2;UTF8:*","ext_key_usage":["ServerAuth"],"policy_identifiers":"1.2.3"}`)
	m := newMount(f).root()
	f.Fuzz(func(t *testing.T, body string) {
		if _, err := m.Do(engine.Update, "roles/f", body); err != nil {
			if errs.KindOf(err) == errs.Internal {
				t.Error(err)
			}
			return
		}
		if _, err := m.Do(engine.Read, "roles/f", ""); err != nil {
			t.Error(err)
		}
		if _, err := m.Do(engine.Update, "sign/f", `{"common_name":"a.example.com","csr":`+quoted(csrPEM)+`}`); err != nil && errs.KindOf(err) == errs.Internal {
			t.Error(err)
		}
	})
}

func FuzzOCSP(f *testing.F) {
	f.Add([]byte("x"), "AAAA")
	f.Add([]byte{0x30, 0}, "MAA=")
	m := newMount(f).root()
	f.Fuzz(func(t *testing.T, body []byte, path string) {
		res, err := m.Do(engine.Update, "ocsp", "", func(r *engine.Request) { r.Body = engine.BinaryBody(body) })
		if err != nil || res.Raw == nil {
			t.Error(err)
		}
		if res, err := m.Do(engine.Read, "ocsp/"+path, ""); err == nil && res.Raw == nil {
			t.Error("no answer of the protocol")
		}
	})
}
