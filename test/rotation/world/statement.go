package world

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/strongkeep/strongkeep/internal/attest"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
)

// Statements are the signed ones of turns 1 to last, verified as an auditor
// would: by the public key alone, and that none is missing between them.
func (w *World) Statements(last int64) []evidence.Statement {
	w.Helper()
	var keys struct {
		PublicKeys string `json:"public_keys"`
	}
	w.read("evidence/keys", &keys)
	trusted, err := attest.ParseKeys([]byte(keys.PublicKeys))
	if err != nil {
		w.Fatal(err)
	}
	var chain [][]byte
	for turn := int64(1); turn <= last; turn++ {
		var one struct {
			Envelope json.RawMessage `json:"envelope"`
		}
		w.read(fmt.Sprintf("evidence/statements/%s/db/%d", w.Namespace, turn), &one)
		chain = append(chain, one.Envelope)
	}
	verified, err := attest.VerifyChain(trusted, chain)
	if err != nil {
		w.Fatal("verifying the statements:", err)
	}
	var all []evidence.Statement
	for _, v := range verified {
		var s evidence.Statement
		if err := json.Unmarshal(v.Statement, &s); err != nil {
			w.Fatal("reading a statement:", err)
		}
		all = append(all, s)
		w.mu.Lock()
		for secret, what := range w.known {
			if strings.Contains(string(v.Statement), secret) {
				w.Errorf("%s is in the statement of turn %d", what, s.Turn)
			}
		}
		w.mu.Unlock()
	}
	return all
}

// read reads data of the vault as the server wrote it.
func (w *World) read(path string, v any) {
	w.Helper()
	answer := w.Vault.HTTP(http.MethodGet, path, io.Reader(http.NoBody))
	var wrapped struct{ Data json.RawMessage }
	err := json.Unmarshal([]byte(answer.Body), &wrapped)
	if err == nil {
		err = json.Unmarshal(wrapped.Data, v)
	}
	if err != nil || answer.Status != http.StatusOK {
		w.Fatalf("reading %s: status %d, %v", path, answer.Status, err)
	}
}
