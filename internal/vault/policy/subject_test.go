package policy

import (
	"testing"
	"unsafe"
)

func alice() *Identity {
	return &Identity{
		ID: "id-a", Name: "alice", Metadata: map[string]string{"team": "red", "empty": "", "bad": "*"},
		Aliases: []Alias{{Accessor: "auth_k_1", ID: "alias-1", Name: "sa", Metadata: map[string]string{"ns": "web"}, CustomMetadata: map[string]string{"c": "v"}}},
		Groups:  []Group{{ID: "g1", Name: "dev.ops", Metadata: map[string]string{"k": "v"}}},
	}
}

const templated = `
path "own/{{identity.entity.id}}/{{identity.entity.name}}"                    { capabilities = ["read"] }
path "team/{{identity.entity.metadata.team}}/*"                              { capabilities = ["read"] }
path "none/{{identity.entity.metadata.absent}}*"                             { capabilities = ["read"] }
path "empty/{{identity.entity.metadata.empty}}*"                             { capabilities = ["read"] }
path "bad/{{identity.entity.metadata.bad}}"                                  { capabilities = ["read"] }
path "sa/{{identity.entity.aliases.auth_k_1.name}}/{{identity.entity.aliases.auth_k_1.metadata.ns}}/{{identity.entity.aliases.auth_k_1.custom_metadata.c}}/{{identity.entity.aliases.auth_k_1.id}}" { capabilities = ["read"] }
path "sa/{{identity.entity.aliases.auth_other.name}}"                        { capabilities = ["read"] }
path "group/{{identity.groups.ids.g1.name}}/{{identity.groups.ids.g1.metadata.k}}" { capabilities = ["read"] }
path "group/{{identity.groups.names.dev.ops.id}}"                            { capabilities = ["read"] }
path "group/{{identity.groups.names.other.id}}"                              { capabilities = ["read"] }
path "plain"                                                                 { capabilities = ["read"] }
path "team/red/secret" { capabilities = ["read", "list"] }
path "team/{{identity.entity.metadata.team}}/secret" { capabilities = ["update"] }
`

// Facts §2.3: templated paths hold for whom they name and for nobody else.
func TestTemplatedPolicies(t *testing.T) {
	ctx, s, b := t.Context(), newShelf(), NewBook(Config{})
	mustPut(t, b, s, "t", templated)
	acl := func(who *Identity) *ACL {
		a, _, err := b.ACLFor(ctx, s, Subject{Names: []string{"t"}, Identity: who})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := acl(alice())
	for path, want := range map[string]bool{
		"own/id-a/alice": true, "own/id-a/bob": false, "own/{{identity.entity.id}}/alice": false,
		"team/red/x": true, "team/blue/x": false,
		"none/": false, "none/x": false, "empty/": false, "empty/x": false,
		"bad/x": false, "bad/*": false, "sa/sa/web/v/alias-1": true, "sa/": false,
		"group/dev.ops/v": true, "group/g1": true, "group/": false, "plain": true,
	} {
		if may(a, path) != want {
			t.Errorf("alice reads %s: %v", path, !want)
		}
	}
	// A template that comes to the path of another rule is merged with it.
	if got := a.Decide(Query{Path: "team/red/secret", Want: Update}); !got.Allowed {
		t.Error("not merged")
	}
	nobody := acl(nil)
	if may(nobody, "own/id-a/alice") || may(nobody, "team/red/x") || !may(nobody, "plain") {
		t.Error("who is not known has what templates grant, or lacks the rest")
	}
	bob := alice()
	bob.ID, bob.Name, bob.Metadata = "id-b", "bob", nil
	if a := acl(bob); may(a, "own/id-a/alice") || !may(a, "own/id-b/bob") || may(a, "team/red/x") {
		t.Error("bob has what is alice's")
	}
}

// GHSA-59w7: an unsafe value takes a grant away, but not a deny.
func TestGHSA59w7DenyHoldsForUnsafeValues(t *testing.T) {
	who := &Identity{ID: "1", Name: "a*"}
	p, err := Parse("p", `
path "secret/*" { capabilities = ["read"] }
path "secret/deep/{{identity.entity.name}}" { capabilities = ["deny"] }`)
	if err != nil {
		t.Fatal(err)
	}
	a := CompileFor(who, p)
	if may(a, "secret/deep/a*") || may(a, "secret/deep/abc") || !may(a, "secret/x") {
		t.Error("a deny whose value is unsafe must deny all it could have meant")
	}
	if a := CompileFor(&Identity{ID: "1"}, p); !may(a, "secret/deep/abc") {
		t.Error("a deny of what is not there must deny nothing")
	}
}

// The ACL of one identity is kept as long as policies and identity are the same.
func TestTemplatedIsKeptAndFollowsChanges(t *testing.T) {
	ctx, s, b := t.Context(), newShelf(), NewBook(Config{})
	mustPut(t, b, s, "plain", allow("x"))
	mustPut(t, b, s, "t", `path "own/{{identity.entity.name}}" { capabilities = ["read"] }`)
	get := func(who *Identity, names ...string) *ACL {
		a, _, err := b.ACLFor(ctx, s, Subject{Names: names, Identity: who})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	first, second := alice(), alice()
	second.Name = "al"
	a := get(first, "t")
	if get(first, "t") != a {
		t.Error("compiled anew")
	}
	if a := get(second, "t"); may(a, "own/alice") || !may(a, "own/al") {
		t.Error("the identity changed, its rights did not")
	}
	mustPut(t, b, s, "t", `path "other/{{identity.entity.name}}" { capabilities = ["read"] }`)
	if a := get(first, "t"); may(a, "own/alice") || !may(a, "other/alice") {
		t.Error("the policy changed, the rights did not")
	}
	if get(first, "plain") != get(nil, "plain") {
		t.Error("policies without templates are compiled for each identity")
	}
	who := Subject{Names: []string{"t"}, Identity: first}
	if n := testing.AllocsPerRun(100, func() { _, _, _ = b.ACLFor(ctx, s, who) }); n != 0 {
		t.Errorf("%v allocations for an ACL that is kept", n)
	}
	if size := unsafe.Sizeof(b.personal); size > 64<<10 {
		t.Errorf("the cache of personal ACLs takes %d bytes when it is empty", size)
	}
}

func BenchmarkCompileTemplated(b *testing.B) {
	d, err := Parse("default", DefaultText)
	if err != nil {
		b.Fatal(err)
	}
	p, err := Parse("t", templated)
	if err != nil {
		b.Fatal(err)
	}
	who := alice()
	b.ReportAllocs()
	for b.Loop() {
		CompileFor(who, d, p)
	}
}
