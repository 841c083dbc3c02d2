package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/gate"
)

// The fields of Vault's answers.
func TestEntities(t *testing.T) {
	w := newWorld(t, nil)
	status, made := w.raw("POST", "identity/entity", `{"name":"Ann","metadata":{"team":"red"},"policies":["B","a","a"]}`)
	data := made["data"].(map[string]any)
	id := data["id"].(string)
	if status != 200 || data["name"] != "Ann" || data["aliases"] != nil {
		t.Errorf("%d %v", status, data)
	}
	// An update answers 204, by name, by ID and by either path.
	for path, body := range map[string]string{
		"identity/entity": `{"name":"ANN","disabled":true}`, "identity/entity/id/" + id: `{"metadata":{"team":"blue"}}`,
		"identity/entity/name/ann": `{"policies":"c"}`,
	} {
		if status, body := w.raw("POST", path, body); status != 204 {
			t.Errorf("%s: %d %v", path, status, body)
		}
	}
	byID, byName := w.read("identity/entity/id/"+id), w.read("identity/entity/name/ann")
	if fmt.Sprint(byID) != fmt.Sprint(byName) {
		t.Errorf("%v\n%v", byID, byName)
	}
	for _, name := range []string{
		"aliases", "creation_time", "direct_group_ids", "disabled", "group_ids", "id", "inherited_group_ids", "last_update_time",
		"merged_entity_ids", "metadata", "name", "namespace_id", "policies", "mfa_secrets",
	} {
		if _, there := byID[name]; !there {
			t.Errorf("an entity lacks %s", name)
		}
	}
	if byID["disabled"] != true || byID["metadata"].(map[string]any)["team"] != "blue" || !slices.Equal(strs(byID["policies"]), []string{"c"}) {
		t.Errorf("%v", byID)
	}
	w.write("identity/entity", map[string]any{"id": id, "name": "Anna"})
	if w.read("identity/entity/name/ann") != nil || w.read("identity/entity/name/anna")["id"] != id {
		t.Error("the old name is still there")
	}
	other := w.write("identity/entity", map[string]any{"name": "Bob/ops"})["id"].(string)
	if w.read("identity/entity/name/bob/ops")["id"] != other {
		t.Error("a name with a slash is not found")
	}
	listed := w.list("identity/entity/id")
	info := listed["key_info"].(map[string]any)[id].(map[string]any)
	if len(strs(listed["keys"])) != 2 || info["name"] != "Anna" {
		t.Errorf("%v", listed)
	}
	if names := strs(w.list("identity/entity/name")["keys"]); !slices.Equal(names, []string{"Anna", "Bob/ops"}) {
		t.Errorf("%v", names)
	}
	w.remove("identity/entity/id/" + id)
	w.remove("identity/entity/id/" + id)
	w.write("identity/entity/batch-delete", map[string]any{"entity_ids": []string{other, "unknown"}})
	if w.list("identity/entity/id") != nil || w.list("identity/entity/name") != nil {
		t.Error("something is left")
	}
}

func TestEntityRefuses(t *testing.T) {
	w := newWorld(t, nil)
	w.write("identity/entity", map[string]any{"name": "taken"})
	id := w.write("identity/entity", map[string]any{"name": "ann"})["id"].(string)
	for _, c := range []struct {
		path string
		body map[string]any
		text string
	}{
		{"identity/entity", map[string]any{"id": "nope"}, "entity not found from id"},
		{"identity/entity/id/nope", map[string]any{"name": "x"}, "entity not found from id"},
		{"identity/entity/id/" + id, map[string]any{"name": "TAKEN"}, "already in use"},
		{"identity/entity", map[string]any{"name": strings.Repeat("x", 256)}, "over the limit"},
		{"identity/entity", map[string]any{"name": " x"}, "space"},
		{"identity/entity", map[string]any{"name": "x", "metadata": map[string]any{"k": strings.Repeat("v", 513)}}, "at most 512 bytes"},
		{"identity/entity", map[string]any{"name": "x", "metadata": 3}, "metadata"},
		{"identity/entity/batch-delete", nil, "missing entity ids"},
		{"identity/entity/merge", map[string]any{"to_entity_id": id}, "missing entity ids to merge from"},
		{"identity/entity/merge", map[string]any{"from_entity_ids": id}, "missing entity id to merge to"},
		{"identity/entity/merge", map[string]any{"from_entity_ids": id, "to_entity_id": "nope"}, "entity id to merge to is invalid"},
		{"identity/entity/merge", map[string]any{"from_entity_ids": "nope", "to_entity_id": id}, "entity id to merge from is invalid"},
		{"identity/entity/merge", map[string]any{"from_entity_ids": id, "to_entity_id": id}, "should not be present"},
		{"identity/lookup/entity", nil, "query parameter not supplied"},
		{"identity/lookup/entity", map[string]any{"id": id, "name": "ann"}, "more than one"},
		{"identity/lookup/entity", map[string]any{"alias_name": "x"}, "both alias_name and alias_mount_accessor"},
		{"identity/config", map[string]any{"ephemeral_retention": -1}, "ephemeral_retention"},
	} {
		w.refused(c.path, c.body, 400, c.text)
	}
}

// CVE-2024-9180, CVE-2025-5999, CVE-2025-64761 (facts §6): who may write
// identities does not become root by it.
func TestCVE20249180IdentityIsNoWayToRoot(t *testing.T) {
	w := newWorld(t, nil)
	w.policy("identity-admin", `path "identity/*" { capabilities = ["create", "read", "update", "delete", "list"] }`)
	w.user("eve", "identity-admin")
	eve, a := w.login("eve")
	for _, name := range []string{"root", "ROOT", "Root", " root", "root ", "\troot", "rooT\n", "response-wrapping"} {
		for path, body := range map[string]map[string]any{
			"identity/entity/id/" + a.EntityID: {"policies": []string{name}},
			"identity/entity":                  {"name": "x", "policies": []string{"default", name}},
			"identity/group":                   {"name": "g", "policies": []string{name}, "member_entity_ids": a.EntityID},
			"identity/group/name/h":            {"type": "external", "policies": []string{name}},
		} {
			_, err := eve.Logical().Write(path, body)
			wantStatus(t, err, 400, "policies cannot contain")
		}
	}
	if may(t, eve, "sys/policies/acl/x") {
		t.Error("eve is more than she was")
	}
}

func TestMerge(t *testing.T) {
	w := newWorld(t, nil)
	second := w.enable("two", "userpass")
	w.user("ann", "default")
	w.write("auth/two/users/ann", map[string]any{"password": "canary", "token_policies": "default"})
	c, a := w.login("ann")
	s, err := w.NewClient("").Logical().Write("auth/two/login/ann", map[string]any{"password": "canary"})
	if err != nil {
		t.Fatal(err)
	}
	w.policy("of-to", `path "x" { capabilities = ["read"] }`)
	w.write("identity/entity/id/"+s.Auth.EntityID, map[string]any{"policies": "of-to"})
	g := w.write("identity/group", map[string]any{"name": "g", "member_entity_ids": a.EntityID})["id"]
	w.write("identity/entity/merge", map[string]any{"from_entity_ids": []string{a.EntityID}, "to_entity_id": s.Auth.EntityID})
	if w.read("identity/entity/id/"+a.EntityID) != nil {
		t.Error("the merged entity is still there")
	}
	e := w.read("identity/entity/id/" + s.Auth.EntityID)
	if len(e["aliases"].([]any)) != 2 || !slices.Equal(strs(e["merged_entity_ids"]), []string{a.EntityID}) || !slices.Equal(strs(e["direct_group_ids"]), []string{g.(string)}) {
		t.Errorf("%v", e)
	}
	if members := strs(w.read("identity/group/name/g")["member_entity_ids"]); !slices.Equal(members, []string{s.Auth.EntityID}) {
		t.Errorf("%v", members)
	}
	// Tokens of the merged entity are the other's now.
	if !may(t, c, "x") {
		t.Error("the token of the merged entity lacks the policies of the other")
	}
	if _, again := w.login("ann"); again.EntityID != s.Auth.EntityID {
		t.Error("a login after the merge")
	}
	// Aliases on the same mount clash unless one is chosen.
	other := w.write("identity/entity", map[string]any{"name": "other"})["id"]
	keep := w.write("identity/entity-alias", map[string]any{"name": "other", "mount_accessor": second, "canonical_id": other})["id"]
	merge := map[string]any{"from_entity_ids": other, "to_entity_id": s.Auth.EntityID}
	w.refused("identity/entity/merge", merge, 400, "same mount accessor")
	merge["conflicting_alias_ids_to_keep"] = keep
	w.write("identity/entity/merge", merge)
	if w.write("identity/lookup/entity", map[string]any{"alias_name": "other", "alias_mount_accessor": second})["id"] != s.Auth.EntityID ||
		w.write("identity/lookup/entity", map[string]any{"alias_name": "ann", "alias_mount_accessor": second}) != nil {
		t.Error("the wrong alias stayed")
	}
}

func TestEntityAliases(t *testing.T) {
	w := newWorld(t, nil)
	ann := w.write("identity/entity", map[string]any{"name": "ann"})["id"].(string)
	bob := w.write("identity/entity", map[string]any{"name": "bob"})["id"].(string)
	made := w.write("identity/entity-alias", map[string]any{"name": "Ann", "mount_accessor": w.accessor, "canonical_id": ann, "custom_metadata": map[string]any{"k": "v"}})
	id := made["id"].(string)
	if made["canonical_id"] != ann {
		t.Errorf("%v", made)
	}
	a := w.read("identity/entity-alias/id/" + id)
	if a["name"] != "Ann" || a["mount_type"] != "userpass" || a["mount_path"] != "auth/up/" || a["custom_metadata"].(map[string]any)["k"] != "v" || a["local"] != false {
		t.Errorf("%v", a)
	}
	for _, query := range []map[string]any{
		{"id": ann}, {"name": "ANN"}, {"alias_id": id}, {"alias_name": "ann", "alias_mount_accessor": w.accessor},
	} {
		if found := w.write("identity/lookup/entity", query); found["id"] != ann {
			t.Errorf("%v finds %v", query, found)
		}
	}
	if w.write("identity/lookup/entity", map[string]any{"name": "nobody"}) != nil {
		t.Error("somebody was found")
	}
	if info := w.list("identity/entity-alias/id")["key_info"].(map[string]any)[id].(map[string]any); info["canonical_id"] != ann {
		t.Errorf("%v", info)
	}
	for text, body := range map[string]map[string]any{
		"missing alias name":     {"mount_accessor": w.accessor},
		"missing mount_accessor": {"name": "x"},
		"invalid mount accessor": {"name": "x", "mount_accessor": "auth_none_1"},
		"invalid canonical ID":   {"name": "x", "mount_accessor": w.accessor, "canonical_id": "nope"},
		"has an alias":           {"name": "x", "mount_accessor": w.accessor, "canonical_id": ann},
		"must be printable":      {"name": "a\u0001", "mount_accessor": w.accessor},
		"cannot be changed":      {"id": id, "mount_accessor": "other"},
		"invalid alias ID":       {"id": "nope"},
		"custom_metadata":        {"id": id, "custom_metadata": map[string]any{"": "v"}},
	} {
		text = strings.ReplaceAll(text, "has an alias", "already has an alias")
		w.refused("identity/entity-alias", body, 400, text)
	}
	// It moves, is renamed, and goes.
	w.write("identity/entity-alias/id/"+id, map[string]any{"canonical_id": bob, "name": "robert"})
	if w.read("identity/entity-alias/id/" + id)["canonical_id"] != bob || len(w.read("identity/entity/id/" + ann)["aliases"].([]any)) != 0 {
		t.Error("the alias did not move")
	}
	if w.write("identity/lookup/entity", map[string]any{"alias_name": "ann", "alias_mount_accessor": w.accessor}) != nil {
		t.Error("the old name leads somewhere")
	}
	w.remove("identity/entity-alias/id/" + id)
	if w.read("identity/entity-alias/id/"+id) != nil || w.list("identity/entity-alias/id") != nil {
		t.Error("the alias is still there")
	}
	lone := w.write("identity/entity-alias", map[string]any{"name": "new", "mount_accessor": w.accessor})
	if w.read("identity/entity/id/"+lone["canonical_id"].(string)) == nil {
		t.Error("no entity was made")
	}
}

func TestGroups(t *testing.T) {
	w := newWorld(t, nil)
	ann := w.write("identity/entity", map[string]any{"name": "ann"})["id"].(string)
	low := w.write("identity/group", map[string]any{"name": "low", "policies": "P", "member_entity_ids": ann, "metadata": map[string]any{"k": "v"}})["id"].(string)
	top := w.write("identity/group", map[string]any{"name": "Top", "member_group_ids": low})["id"].(string)
	g := w.read("identity/group/name/low")
	for _, name := range []string{
		"alias", "creation_time", "id", "last_update_time", "member_entity_ids", "member_group_ids", "metadata", "modify_index",
		"name", "namespace_id", "parent_group_ids", "policies", "type",
	} {
		if _, there := g[name]; !there {
			t.Errorf("a group lacks %s", name)
		}
	}
	if g["type"] != "internal" || !slices.Equal(strs(g["policies"]), []string{"p"}) || !slices.Equal(strs(g["parent_group_ids"]), []string{top}) {
		t.Errorf("%v", g)
	}
	e := w.read("identity/entity/id/" + ann)
	if !slices.Equal(strs(e["direct_group_ids"]), []string{low}) || !slices.Equal(strs(e["inherited_group_ids"]), []string{top}) {
		t.Errorf("%v", e)
	}
	for text, body := range map[string]map[string]any{
		"cyclic relationship":          {"id": low, "member_group_ids": top},
		"invalid entity ID":            {"id": low, "member_entity_ids": "nope"},
		"invalid member group ID":      {"id": low, "member_group_ids": "nope"},
		"group type cannot be changed": {"id": low, "type": "external"},
		"can't be set manually":        {"name": "x", "type": "external", "member_entity_ids": ann},
		"member groups can't be set":   {"name": "x", "type": "external", "member_group_ids": low},
		"is invalid":                   {"name": "x", "type": "odd"},
		"group name is already in use": {"id": low, "name": "TOP"},
		"group id not found":           {"id": "nope"},
	} {
		w.refused("identity/group", body, 400, text)
	}
	if info := w.list("identity/group/id")["key_info"].(map[string]any)[low].(map[string]any); fmt.Sprintf("%v %v", info["num_member_entities"], info["num_parent_groups"]) != "1 1" {
		t.Errorf("%v", info)
	}
	if names := strs(w.list("identity/group/name")["keys"]); !slices.Equal(names, []string{"Top", "low"}) {
		t.Errorf("%v", names)
	}
	w.write("identity/group/id/"+low, map[string]any{"member_entity_ids": []string{}})
	if len(strs(w.read("identity/entity/id/" + ann)["group_ids"])) != 0 {
		t.Error("still a member")
	}
	w.remove("identity/group/id/" + low)
	w.remove("identity/group/name/TOP")
	if w.list("identity/group/id") != nil {
		t.Error("a group is left")
	}
}

func TestGroupAliases(t *testing.T) {
	w := newWorld(t, nil)
	ext := w.write("identity/group", map[string]any{"name": "ext", "type": "external"})["id"].(string)
	in := w.write("identity/group", map[string]any{"name": "in"})["id"].(string)
	w.refused("identity/group-alias", map[string]any{"name": "dev", "mount_accessor": w.accessor, "canonical_id": in}, 400, "alias can't be set on an internal group")
	w.refused("identity/group-alias", map[string]any{"name": "dev", "mount_accessor": "none", "canonical_id": ext}, 400, "invalid mount accessor")
	w.refused("identity/group-alias", map[string]any{"name": "dev", "mount_accessor": w.accessor, "canonical_id": "nope"}, 400, "invalid group ID")
	made := w.write("identity/group-alias", map[string]any{"name": "dev", "mount_accessor": w.accessor, "canonical_id": ext})
	id := made["id"].(string)
	if a := w.read("identity/group-alias/id/" + id); a["name"] != "dev" || a["canonical_id"] != ext || a["mount_path"] != "auth/up/" {
		t.Errorf("%v", a)
	}
	if again := w.write("identity/group-alias", map[string]any{"name": "DEV", "mount_accessor": w.accessor}); again["id"] != id || again["canonical_id"] != ext {
		t.Errorf("%v", again)
	}
	if a := w.read("identity/group/id/" + ext)["alias"].(map[string]any); a["id"] != id {
		t.Errorf("%v", a)
	}
	for _, query := range []map[string]any{{"id": ext}, {"name": "EXT"}, {"alias_id": id}, {"alias_name": "dev", "alias_mount_accessor": w.accessor}} {
		if found := w.write("identity/lookup/group", query); found["id"] != ext {
			t.Errorf("%v finds %v", query, found)
		}
	}
	w.write("identity/group-alias/id/"+id, map[string]any{"name": "ops"})
	if w.write("identity/lookup/group", map[string]any{"alias_name": "dev", "alias_mount_accessor": w.accessor}) != nil {
		t.Error("the old name leads somewhere")
	}
	w.remove("identity/group-alias/id/" + id)
	if w.read("identity/group-alias/id/"+id) != nil || w.read("identity/group/id/"+ext) == nil {
		t.Error("the alias is there, or the group is not")
	}
}

// Disabling an auth method takes its aliases away, in the background.
func TestDisabledMount(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 26 {
		name := fmt.Sprint("u", i)
		w.user(name, "default")
		w.login(name)
	}
	e := w.write("identity/entity", map[string]any{"name": "kept"})["id"].(string)
	w.write("identity/entity-alias", map[string]any{"name": "kept", "mount_accessor": w.accessor, "canonical_id": e})
	if err := w.Sys().DisableAuth("up"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return w.list("identity/entity-alias/id") == nil })
	if keys := strs(w.list("identity/entity/id")["keys"]); !slices.Equal(keys, []string{e}) {
		t.Errorf("%d entities", len(keys))
	}
}

// Facts §2.5: an identity store is one of the mounts of every vault.
func TestMount(t *testing.T) {
	w := newWorld(t, nil)
	all, err := w.Sys().ListMounts()
	if err != nil || all["identity/"] == nil || all["identity/"].Type != "identity" {
		t.Fatalf("%v, %v", all["identity/"], err)
	}
	err = w.Sys().Unmount("identity")
	wantStatus(t, err, 400, "cannot unmount")
	// What is absent is unknown.
	for _, path := range []string{"identity/oidc/config", "identity/mfa/method", "identity/persona"} {
		if status, _ := w.raw("GET", path, ""); status != 404 {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status, _ := w.raw("GET", "identity/config", ""); status != 200 {
		t.Errorf("config: %d", status)
	}
	w.write("identity/config", map[string]any{"ephemeral_retention": "90d"})
	if got := fmt.Sprint(w.read("identity/config")["ephemeral_retention"]); got != "7776000" {
		t.Errorf("retention %s", got)
	}
}

// Entities of one namespace are nobody's in another (CVE-2024-9180's neighbours).
func TestNamespaces(t *testing.T) {
	w := newWorld(t, nil)
	if _, err := w.Logical().Write("sys/namespaces/team", nil); err != nil {
		t.Fatal(err)
	}
	team := w.NewClient(w.Root)
	team.SetNamespace("team")
	here := w.write("identity/entity", map[string]any{"name": "ann"})["id"].(string)
	there, err := team.Logical().Write("identity/entity", map[string]any{"name": "ann"})
	if err != nil {
		t.Fatal(err)
	}
	if there.Data["id"] == here {
		t.Error("one entity for both")
	}
	if s, err := team.Logical().Read("identity/entity/id/" + here); err != nil || s != nil {
		t.Errorf("%v, %v", s, err)
	}
	for _, body := range []map[string]any{{"name": "g", "member_entity_ids": here}} {
		_, err := team.Logical().Write("identity/group", body)
		wantStatus(t, err, 400, "invalid entity ID")
	}
	_, err = team.Logical().Write("identity/entity-alias", map[string]any{"name": "ann", "mount_accessor": w.accessor, "canonical_id": there.Data["id"]})
	wantStatus(t, err, 400, "invalid mount accessor")
	// A login in a namespace has its entity, its policies and its templates there.
	if err := team.Sys().EnableAuthWithOptions("up", &vault.EnableAuthOptions{Type: "userpass"}); err != nil {
		t.Fatal(err)
	}
	if err := team.Sys().PutPolicy("own", `path "secret/{{identity.entity.name}}" { capabilities = ["read"] }`); err != nil {
		t.Fatal(err)
	}
	if _, err := team.Logical().Write("auth/up/users/bob", map[string]any{"password": "canary", "token_policies": "default"}); err != nil {
		t.Fatal(err)
	}
	bob := w.NewClient("")
	bob.SetNamespace("team")
	s, err := bob.Logical().Write("auth/up/login/bob", map[string]any{"password": "canary"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := team.Logical().Write("identity/entity/id/"+s.Auth.EntityID, map[string]any{"name": "bob", "policies": "own"}); err != nil {
		t.Fatal(err)
	}
	bob.SetToken(s.Auth.ClientToken)
	if !may(t, bob, "secret/bob") || may(t, bob, "secret/ann") {
		t.Error("the templates of a namespace do not hold there")
	}
	if w.read("identity/entity/id/"+s.Auth.EntityID) != nil {
		t.Error("an entity of the namespace is seen at the root")
	}
	entity, err := team.Logical().Read("identity/entity/id/" + s.Auth.EntityID)
	if err != nil || entity.Data["namespace_id"] == "root" {
		t.Errorf("%v, %v", entity, err)
	}
}

// No secret appears in what identities say.
func TestCanary(t *testing.T) {
	w := newWorld(t, nil)
	w.user("ann", "default")
	w.login("ann")
	if strings.Contains(w.Log.String(), "canary") {
		t.Error("the log holds a password")
	}
}

func FuzzBodies(f *testing.F) {
	f.Add("entity", `{"name":"a","policies":["x"],"metadata":{"a":"b"}}`)
	f.Add("group", `{"name":"a","member_entity_ids":["x"]}`)
	f.Add("entity-alias", `{"name":"a","mount_accessor":"x"}`)
	f.Add("lookup/entity", `{"alias_name":"a"}`)
	f.Add("entity/merge", `{"from_entity_ids":[1,{}],"to_entity_id":[]}`)
	v := testenv.Start(f, func(c *app.ServerConfig) { c.NoDefaultAudit = true })
	f.Fuzz(func(t *testing.T, path, body string) {
		parsed, err := engine.ParseBody([]byte(body))
		if err != nil {
			return
		}
		_, err = v.Server.Gate().Handle(t.Context(), &gate.Request{
			ID: "fuzz", Operation: engine.Update, Path: "identity/" + path, Token: redact.FromString(v.Root), Body: parsed, Time: time.Now(),
		})
		if err != nil && errs.Is(err, errs.Internal) {
			t.Errorf("%q %q: %v", path, body, err)
		}
	})
}
