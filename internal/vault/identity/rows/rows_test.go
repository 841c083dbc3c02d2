package rows

import (
	"context"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/vault/identity/record"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

// The rows of a vault that was upgraded are found where they were.
func TestWhereRowsLie(t *testing.T) {
	k := Of("")
	hash := record.Hash("Ann")
	for got, want := range map[string]string{
		k.Folder():                  "identity/root/",
		Of("x7Yz1").EntityKey("i"):  "identity/x7Yz1/entity/i",
		k.EntityKey("i"):            "identity/root/entity/i",
		k.EntityNameKey("Ann"):      "identity/root/entity-name/" + record.Escape("Ann"),
		k.AliasIDKey("i"):           "identity/root/alias-id/i",
		k.MergedKey("i"):            "identity/root/merged/i",
		k.GroupKey("i"):             "identity/root/group/i",
		k.GroupNameKey("Ops"):       "identity/root/group-name/" + record.Escape("Ops"),
		k.GroupAliasIDKey("i"):      "identity/root/group-alias-id/i",
		k.MemberFolder("i"):         "identity/root/member/i/",
		k.SweepKey("i"):             "identity/root/sweep/i",
		k.ConfigKey():               "identity/root/config",
		k.AliasKey("a", "Ann"):      "identity/root/alias/a/" + hash,
		k.OriginKey("a", "Ann"):     "identity/root/origin/a/" + hash,
		k.GroupAliasKey("a", "Ann"): "identity/root/group-alias/a/" + hash,
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if k.Namespace() != "root" || Of("x7Yz1").Namespace() != "x7Yz1" {
		t.Error("namespaces")
	}
}

// What a client names as an ID does not lead to another row.
func TestWhatIsNoIDFindsNothing(t *testing.T) {
	s := mem.New(mem.Config{})
	defer func() { _ = s.Close() }()
	ctx := context.Background()
	b, err := record.Encode("an entity", &record.Entity{ID: "i", Name: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{Of("").EntityKey("i"), Of("").EntityKey("a/b"), Of("").EntityKey(strings.Repeat("x", 129))} {
		if _, err := s.Apply(ctx, store.Put(key, b)); err != nil {
			t.Fatal(err)
		}
	}
	v := In(s, "")
	if e, err := v.Entity(ctx, "i"); err != nil || e == nil || e.Name != "ann" {
		t.Errorf("%v %v", e, err)
	}
	for _, id := range []string{"", "a/b", strings.Repeat("x", 129), "nobody"} {
		if e, err := v.Entity(ctx, id); err != nil || e != nil {
			t.Errorf("%q: %v %v", id, e, err)
		}
	}
	for _, name := range []string{"", strings.Repeat("x", record.MaxName+1), "nobody"} {
		if e, err := v.EntityNamed(ctx, name); err != nil || e != nil {
			t.Errorf("%q: %v %v", name, e, err)
		}
	}
}
