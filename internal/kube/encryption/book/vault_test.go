package book_test

import (
	"os"
	"path/filepath"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/book"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

const rights = `path "evidence/statements/encryption/c1" { capabilities = ["create", "read", "list"] }
path "evidence/statements/encryption/c1/*" { capabilities = ["read", "list"] }
path "evidence/keys" { capabilities = ["read"] }`

// A vault's chain is in the folder too, also what was signed and never written, and one
// chain for all nodes.
func TestVault(t *testing.T) {
	v := testenv.Start(t, func(c *app.ServerConfig) { c.Storage = "mem" })
	if err := v.Sys().Mount("evidence", &vault.MountInput{Type: "evidence"}); err != nil {
		t.Fatal(err)
	}
	signer := &book.Vault{Client: v.NewClient(v.Policy("reports", rights)), Mount: "evidence", Name: "encryption/c1"}
	one, two := &book.Book{Dir: t.TempDir(), Signer: signer}, &book.Book{Dir: t.TempDir(), Signer: signer}
	for i, b := range []*book.Book{one, one, two, one} {
		if got, err := add(t, b, `{}`); err != nil || got.Seq != int64(i+1) {
			t.Fatalf("%d: %+v, %v", i, got, err)
		}
	}
	// Killed between signing and writing: the next run writes it first.
	if err := os.Remove(filepath.Join(one.Dir, "report-000004.json")); err != nil {
		t.Fatal(err)
	}
	if got, err := add(t, one, `{}`); err != nil || got.Seq != 5 || len(verify(t, one)) != 5 {
		t.Errorf("%+v, %v", got, err)
	}
	// Of two that begin behind the same one, the second is told.
	last, err := one.Last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := one.Add(t.Context(), last, []byte(`{"n":1}`)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := two.Add(t.Context(), last, []byte(`{"n":2}`)); !errs.Is(err, errs.Conflict) {
		t.Errorf("%v", err)
	}
	if got, err := add(t, two, `{"n":2}`); err != nil || got.Seq != 7 || len(verify(t, two)) != 7 {
		t.Errorf("%+v, %v", got, err)
	}
	// A folder with another history is not mixed with the vault's.
	other := folder(t)
	if _, err := add(t, other, `{}`); err != nil {
		t.Fatal(err)
	}
	other.Signer = signer
	if _, err := other.Last(t.Context()); !errs.Is(err, errs.Conflict) {
		t.Errorf("%v", err)
	}
}

// Turns may leave gaps, and the numbers of reports do not.
func TestVaultTurns(t *testing.T) {
	v := testenv.Start(t, func(c *app.ServerConfig) { c.Storage = "mem" })
	if err := v.Sys().Mount("evidence", &vault.MountInput{Type: "evidence"}); err != nil {
		t.Fatal(err)
	}
	signer := &book.Vault{Client: v.NewClient(v.Policy("reports", rights)), Mount: "evidence", Name: "encryption/c1"}
	if _, err := signer.Client.Logical().WriteWithContext(t.Context(), "evidence/statements/encryption/c1", map[string]any{"statement": map[string]any{}, "turn": 10}); err != nil {
		t.Fatal(err)
	}
	b := &book.Book{Dir: t.TempDir(), Signer: signer}
	for i := range 2 {
		if got, err := add(t, b, `{}`); err != nil || got.Seq != int64(i+2) || got.Turn != int64(i+11) {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	if n := len(verify(t, b)); n != 3 {
		t.Errorf("%d reports", n)
	}
}

func TestVaultWithout(t *testing.T) {
	v := testenv.Start(t, func(c *app.ServerConfig) { c.Storage = "mem" })
	for want, signer := range map[errs.Kind]*book.Vault{
		errs.Denied:   {Client: v.NewClient(v.Policy("reports", rights)), Mount: "elsewhere", Name: "encryption/c1"},
		errs.NotExist: {Client: v.NewClient(v.Token()), Mount: "evidence", Name: "encryption/c1"},
	} {
		b := &book.Book{Dir: t.TempDir(), Signer: signer}
		if _, err := b.Last(t.Context()); errs.KindOf(err) != want {
			t.Errorf("want %s: %v", want, err)
		}
	}
}
