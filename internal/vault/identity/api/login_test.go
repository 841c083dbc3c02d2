package api_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	vault "github.com/hashicorp/vault/api"
)

// Facts §2.4: a login has an entity; its policies come to the token's own.
func TestLoginMakesAnEntity(t *testing.T) {
	w := newWorld(t, nil)
	w.user("ann", "app")
	_, a := w.login("ann")
	if a.EntityID == "" || len(a.IdentityPolicies) != 0 {
		t.Fatalf("entity %q, identity policies %v", a.EntityID, a.IdentityPolicies)
	}
	e := w.read("identity/entity/id/" + a.EntityID)
	alias := e["aliases"].([]any)[0].(map[string]any)
	if alias["name"] != "ann" || alias["mount_accessor"] != w.accessor || alias["mount_path"] != "auth/up/" ||
		alias["mount_type"] != "userpass" || alias["canonical_id"] != a.EntityID || e["namespace_id"] != "root" {
		t.Errorf("%v", e)
	}
	if !strings.HasPrefix(e["name"].(string), "entity_") || e["automatic"] != true || e["last_used"] == nil {
		t.Errorf("%v", e)
	}
	_, again := w.login("ann")
	if again.EntityID != a.EntityID {
		t.Error("a second login made a second entity")
	}
	// What is added to the entity holds for tokens that exist, at once.
	c, _ := w.login("ann")
	w.policy("more", `path "secret/more" { capabilities = ["read"] }`)
	w.policy("group", `path "secret/group" { capabilities = ["read"] }`)
	if may(t, c, "secret/more") {
		t.Fatal("it may already")
	}
	w.write("identity/entity/id/"+a.EntityID, map[string]any{"policies": "MORE"})
	w.write("identity/group", map[string]any{"name": "g", "policies": "group", "member_entity_ids": a.EntityID})
	if !may(t, c, "secret/more") || !may(t, c, "secret/group") {
		t.Error("the policies of entity and group do not hold")
	}
	self, err := c.Auth().Token().LookupSelf()
	if err != nil {
		t.Fatal(err)
	}
	if got := strs(self.Data["identity_policies"]); !slices.Equal(got, []string{"group", "more"}) || self.Data["entity_id"] != a.EntityID {
		t.Errorf("lookup-self: %v", self.Data)
	}
	if got := strs(self.Data["policies"]); !slices.Equal(got, []string{"app", "default"}) {
		t.Errorf("policies %v", got)
	}
	_, a = w.login("ann")
	if !slices.Equal(a.IdentityPolicies, []string{"group", "more"}) || !slices.Equal(a.TokenPolicies, []string{"app", "default"}) ||
		!slices.Equal(a.Policies, []string{"app", "default", "group", "more"}) {
		t.Errorf("%+v", a)
	}
	renewed, err := c.Auth().Token().RenewSelf(60)
	if err != nil || !slices.Equal(renewed.Auth.IdentityPolicies, []string{"group", "more"}) {
		t.Errorf("renewal: %+v, %v", renewed, err)
	}
	// Taking them away holds at once, too.
	w.write("identity/entity/id/"+a.EntityID, map[string]any{"policies": []string{}})
	w.remove("identity/group/name/g")
	if may(t, c, "secret/more") || may(t, c, "secret/group") {
		t.Error("policies that were taken away hold")
	}
}

// Facts §2.4: a disabled entity's tokens are refused with 403, and its logins.
func TestDisabledEntity(t *testing.T) {
	w := newWorld(t, nil)
	w.user("ann", "default")
	c, a := w.login("ann")
	w.write("identity/entity/id/"+a.EntityID, map[string]any{"disabled": true})
	_, err := c.Auth().Token().LookupSelf()
	wantStatus(t, err, 403, "permission denied")
	_, err = c.Auth().Token().RenewSelf(60)
	wantStatus(t, err, 403, "permission denied")
	_, err = w.Auth().Token().RenewAccessor(a.Accessor, 60)
	wantStatus(t, err, 403, "permission denied")
	_, _, err = w.tryLogin("ann")
	wantStatus(t, err, 403, "permission denied")
	w.write("identity/entity/id/"+a.EntityID, map[string]any{"disabled": false})
	if _, err := c.Auth().Token().LookupSelf(); err != nil {
		t.Error(err)
	}
	w.remove("identity/entity/id/" + a.EntityID)
	_, err = c.Auth().Token().LookupSelf()
	wantStatus(t, err, 403, "permission denied")
	if _, b := w.login("ann"); b.EntityID == a.EntityID {
		t.Error("a deleted entity came back")
	}
}

// The class of CVE-2025-6004: another spelling is not another identity.
func TestCVE20256004AliasIsOneWhateverItsCapitals(t *testing.T) {
	w := newWorld(t, nil)
	w.user("ann", "default")
	e := w.write("identity/entity", map[string]any{"name": "Ann", "disabled": true})
	w.write("identity/entity-alias", map[string]any{"name": "ANN", "mount_accessor": w.accessor, "canonical_id": e["id"]})
	for _, name := range []string{"ann", "Ann", "ANN"} {
		_, _, err := w.tryLogin(name)
		wantStatus(t, err, 403, "permission denied")
	}
}

// Two first logins at once make one entity.
func TestConcurrentFirstLogins(t *testing.T) {
	w := newWorld(t, nil)
	w.user("ann", "default")
	ids := make([]string, 8)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			if _, a, err := w.tryLogin("ann"); err != nil {
				t.Error(err)
			} else {
				ids[i] = a.EntityID
			}
		})
	}
	all.Wait()
	slices.Sort(ids)
	if ids = slices.Compact(ids); len(ids) != 1 {
		t.Errorf("entities %v", ids)
	}
	if keys := strs(w.list("identity/entity/id")["keys"]); len(keys) != 1 {
		t.Errorf("stored: %v", keys)
	}
}

func (w *world) list(path string) map[string]any {
	w.t.Helper()
	s, err := w.Logical().List(path)
	if err != nil {
		w.t.Fatal(err)
	}
	if s == nil {
		return nil
	}
	return s.Data
}

// Facts §2.3: templated policies through the wire.
func TestTemplatedPolicy(t *testing.T) {
	w := newWorld(t, nil)
	w.policy("own", `
path "secret/data/{{identity.entity.name}}/*" { capabilities = ["read"] }
path "secret/data/team/{{identity.entity.metadata.team}}" { capabilities = ["read"] }
path "secret/data/up/{{identity.entity.aliases.`+w.accessor+`.name}}" { capabilities = ["read"] }
path "secret/data/c/{{identity.entity.aliases.`+w.accessor+`.custom_metadata.c}}" { capabilities = ["read"] }
path "secret/data/g/{{identity.groups.names.dev.id}}" { capabilities = ["read"] }
`)
	w.user("ann", "own")
	w.user("bob", "own")
	ann, a := w.login("ann")
	bob, _ := w.login("bob")
	w.write("identity/entity/id/"+a.EntityID, map[string]any{"name": "ann", "metadata": map[string]any{"team": "red"}})
	g := w.write("identity/group", map[string]any{"name": "dev", "member_entity_ids": []string{a.EntityID}})["id"].(string)
	aliasID := w.read("identity/entity/id/" + a.EntityID)["aliases"].([]any)[0].(map[string]any)["id"].(string)
	w.write("identity/entity-alias/id/"+aliasID, map[string]any{"custom_metadata": map[string]any{"c": "v"}})
	for path, want := range map[string][2]bool{
		"secret/data/ann/x": {true, false}, "secret/data/team/red": {true, false}, "secret/data/up/ann": {true, false},
		"secret/data/up/bob": {false, true}, "secret/data/c/v": {true, false}, "secret/data/g/" + g: {true, false}, "secret/data/g/": {false, false},
	} {
		if may(t, ann, path) != want[0] || may(t, bob, path) != want[1] {
			t.Errorf("%s: ann %v, bob %v", path, !want[0], !want[1])
		}
	}
	// GHSA-59w7: what a name holds is never a wildcard.
	for _, evil := range []string{"*", "+", "ann/x", "a*"} {
		w.write("identity/entity/id/"+a.EntityID, map[string]any{"name": evil})
		if may(t, ann, "secret/data/bob/x") || may(t, ann, "secret/data/ann/x") {
			t.Errorf("the name %q grants what it must not", evil)
		}
	}
	err := w.Sys().PutPolicy("bad", `path "a/{{identity.entity.nome}}" { capabilities = ["read"] }`)
	wantStatus(t, err, 400, "unknown template")
}

// Facts §2.4, auth/token: entity_alias by roles that allow it.
func TestEntityAliasOfTokens(t *testing.T) {
	w := newWorld(t, nil)
	w.write("auth/token/roles/r", map[string]any{"allowed_entity_aliases": []string{"CI-*", "one"}, "allowed_policies": "default"})
	if got := strs(w.read("auth/token/roles/r")["allowed_entity_aliases"]); !slices.Equal(got, []string{"ci-*", "one"}) {
		t.Errorf("role: %v", got)
	}
	create := func(alias string) (*vault.Secret, error) {
		return w.Auth().Token().CreateWithRole(&vault.TokenCreateRequest{EntityAlias: alias}, "r")
	}
	s, err := create("CI-build")
	if err != nil || s.Auth.EntityID == "" {
		t.Fatalf("%+v, %v", s, err)
	}
	if again, err := create("ci-build"); err != nil || again.Auth.EntityID != s.Auth.EntityID {
		t.Errorf("%+v, %v", again, err)
	}
	_, err = create("other")
	wantStatus(t, err, 400, "invalid 'entity_alias' value")
	_, err = w.Auth().Token().Create(&vault.TokenCreateRequest{EntityAlias: "one"})
	wantStatus(t, err, 400, "'entity_alias' is only allowed in combination with token role")
	w.write("identity/entity/id/"+s.Auth.EntityID, map[string]any{"disabled": true})
	_, err = create("ci-build")
	wantStatus(t, err, 403, "permission denied")
}
