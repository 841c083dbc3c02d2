package unsealed

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/password"
)

// What engines make passwords by is the policy as it is stored now.
func TestPasswordsOfEngines(t *testing.T) {
	b := newBench(t, nil)
	v := b.v
	host := v.host(&mount.Entry{ID: "x", Class: mount.Secret, Path: "x/"})
	if made, err := host.Password(t.Context(), ""); err != nil || made.Len() != 20 {
		t.Errorf("by default: %d bytes, %v", made.Len(), err)
	}
	if _, err := host.Password(t.Context(), "db"); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), `no password policy "db"`) {
		t.Errorf("a policy that is not there: %v", err)
	}
	for _, charset := range []string{"a", "b"} {
		tx := v.Begin()
		if err := (password.Book{Namespace: "root"}).Put(tx, "db", `length = 8 rule "charset" { charset = "`+charset+`" }`); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if made, err := host.Password(t.Context(), "db"); err != nil || made.RevealString() != strings.Repeat(charset, 8) {
			t.Errorf("by the stored policy: %v", err)
		}
	}
}

// A mount's engine makes passwords by the policies of the mount's namespace, and
// never by those of another.
func TestPasswordsOfANamespace(t *testing.T) {
	b := newBench(t, nil)
	v := b.v
	tx := v.Begin()
	for ns, charset := range map[string]string{"root": "a", "team": "b"} {
		if err := (password.Book{Namespace: ns}).Put(tx, "db", `length = 8 rule "charset" { charset = "`+charset+`" }`); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	for ns, wanted := range map[string]string{"": "aaaaaaaa", "team": "bbbbbbbb"} {
		host := v.host(&mount.Entry{ID: "x", Namespace: ns, Class: mount.Secret, Path: "x/"})
		if made, err := host.Password(t.Context(), "db"); err != nil || made.RevealString() != wanted {
			t.Errorf("in %q: %v", ns, err)
		}
	}
	host := v.host(&mount.Entry{ID: "x", Namespace: "other", Class: mount.Secret, Path: "x/"})
	if _, err := host.Password(t.Context(), "db"); !errs.Is(err, errs.Invalid) {
		t.Errorf("by a policy of another namespace: %v", err)
	}
}
