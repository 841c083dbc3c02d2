package replay

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/policy"
)

const ann = "7f3c9a50-0000-4000-8000-00000000000a"

// by is a use by an entity, as FromLine reads it.
func by(entity, path string, allowed bool) Use {
	u := use("read", path)
	u.Entity, u.Allowed = entity, allowed
	if entity != "" && !strings.Contains(path, entity) {
		u.Entity = Elsewhere
	}
	return u
}

// What rests on what the log does not tell is neither denied nor fine: it is
// counted. The ID of the entity it does tell.
func TestSimulateWithTemplates(t *testing.T) {
	const read = ` { capabilities = ["read"] } `
	const byName = `path "secret/data/{{identity.entity.name}}/*"` + read
	const byID = `path "secret/data/{{identity.entity.id}}/*"` + read
	const fixed = `path "pki/cert/ca"` + read
	for what, c := range map[string]struct {
		old, new, other string // "" = deleted; of another policy that the tokens have
		uses            []Use
		want            string
		unjudged        Unjudged
		sure            bool
	}{
		"the ID is known": {
			byID, fixed, fixed, []Use{by(ann, "secret/data/"+ann+"/x", true)},
			"denied secret/data/" + ann + "/x", Unjudged{}, true,
		},
		"the ID of another": {
			fixed, fixed + byID, fixed, []Use{by(ann, "secret/data/bob/x", false)}, "", Unjudged{}, true,
		},
		"gained by ID": {
			fixed, fixed + byID, fixed, []Use{by(ann, "secret/data/"+ann+"/x", false)}, "allowed secret/data/" + ann + "/x", Unjudged{}, true,
		},
		"a name is not known": {
			byName, fixed, fixed, []Use{by(ann, "secret/data/ann/x", true), by(ann, "secret/data/bob/x", false)},
			"", Unjudged{Requests: 4, Allowed: 2, Policies: map[string]int64{"app": 4}}, false,
		},
		"deleted": {
			byName, "", fixed, []Use{by(ann, "secret/data/ann/x", true)}, "", Unjudged{Requests: 2, Allowed: 2, Policies: map[string]int64{"app": 2}}, false,
		},
		"only what was refused": {
			fixed, fixed + byName, fixed, []Use{by(ann, "secret/data/ann/x", false)}, "", Unjudged{Requests: 2, Policies: map[string]int64{"app": 2}}, true,
		},
		"the template stays, and something else goes": {
			byName + fixed, byName, fixed + byName, []Use{by(ann, "secret/data/ann/x", true)}, "", Unjudged{}, true,
		},
		"another path than the template's": {
			byName + fixed, byName, "", []Use{by(ann, "pki/cert/ca", true)}, "denied pki/cert/ca", Unjudged{}, true,
		},
		"another policy has the template": {
			`path "secret/data/*"` + read, fixed, byName, []Use{by(ann, "secret/data/ann/x", true), by(ann, "secret/metadata/ann", true)},
			"", Unjudged{Requests: 2, Allowed: 2, Policies: map[string]int64{"other": 2}}, false,
		},
		"both have one": {
			byName, fixed, byName, []Use{by(ann, "secret/data/ann/x", true)},
			"", Unjudged{Requests: 2, Allowed: 2, Policies: map[string]int64{"app": 2, "other": 2}}, false,
		},
		"nobody's token": { // templates stand for nothing
			byName, fixed, fixed, []Use{by("", "secret/data/ann/x", false)}, "", Unjudged{}, true,
		},
		"a deny reaches further than its path": { // GHSA-59w7: for a name that is unsafe it widens
			`path "secret/*"` + read, `path "secret/*"` + read + `path "secret/{{identity.entity.name}}/x" { capabilities = ["deny"] }`, fixed,
			[]Use{by(ann, "secret/far/away", true)}, "", Unjudged{Requests: 2, Allowed: 2, Policies: map[string]int64{"app": 2}}, false,
		},
		"a name beside a star": {
			`path "secret/data/*"` + read, `path "secret/data/{{identity.entity.name}}*"` + read, fixed,
			[]Use{by(ann, "secret/data/ann/deep/down", true)}, "", Unjudged{Requests: 2, Allowed: 2, Policies: map[string]int64{"app": 2}}, false,
		},
	} {
		t.Run(what, func(t *testing.T) {
			now := map[string]*policy.Policy{"app": must(t, "app", c.old)}
			if c.other != "" {
				now["other"] = must(t, "other", c.other)
			}
			var log Log
			for _, u := range c.uses {
				u.Policies = []string{"app", "other"}
				log.Add(u)
				log.Add(u)
			}
			change := Change{Name: "app"}
			if c.new != "" {
				change.Policy = must(t, "app", c.new)
			}
			s, err := log.Simulate(func(_, name string) (*policy.Policy, error) { return now[name], nil }, change)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, o := range s.Outcomes {
				got = append(got, fmt.Sprintf("%s %s", o.Verdict, o.Path))
			}
			if strings.Join(got, "; ") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			u := s.Unjudged
			if u.Requests != c.unjudged.Requests || u.Allowed != c.unjudged.Allowed || !maps.Equal(u.Policies, c.unjudged.Policies) || s.Sure() != c.sure {
				t.Errorf("not judged: %+v, sure %v; want %+v, %v", u, s.Sure(), c.unjudged, c.sure)
			}
		})
	}
}

// Paths of a namespace's policies are within it.
func TestSimulateTemplatesWithinANamespace(t *testing.T) {
	var log Log
	u := by(ann, "team/secret/data/ann", true)
	u.Home, u.Policies = "team/", []string{"app"}
	log.Add(u)
	old := must(t, "app", `path "secret/data/{{identity.entity.name}}" { capabilities = ["read"] }`)
	s, err := log.Simulate(func(_, name string) (*policy.Policy, error) { return old, nil }, Change{Home: "team/", Name: "app"})
	if err != nil || s.Unjudged.Allowed != 1 || len(s.Outcomes) != 0 {
		t.Errorf("%+v %v", s, err)
	}
}

func TestFromLineEntity(t *testing.T) {
	for entity, want := range map[string]string{"": "", ann: Elsewhere, "data": "data"} {
		text := strings.Replace(line, `"display_name"`, fmt.Sprintf(`"entity_id":%q,"display_name"`, entity), 1)
		if u, ok := FromLine([]byte(text), time.Unix(5, 0)); !ok || u.Entity != want {
			t.Errorf("%q: %q %v", entity, u.Entity, ok)
		}
	}
}

// Whatever a name turns out to be, a use that is judged would have come out so.
func FuzzJudgedIsRight(f *testing.F) {
	f.Add(`path "secret/{{identity.entity.name}}/*" { capabilities = ["read"] }`, `path "secret/a/*" { capabilities = ["deny"] }`, "secret/a/b", "a")
	f.Add(`path "secret/+/x{{identity.entity.name}}" { capabilities = ["deny"] }`, `path "secret/*" { capabilities = ["read"] }`, "secret/a/b", "a/b")
	f.Add(`path "{{identity.entity.id}}/{{identity.entity.name}}*" { capabilities = ["read"] }`, ``, ann+"/b/c/", "b")
	f.Fuzz(func(t *testing.T, before, after, path, name string) {
		old, err := policy.Parse("app", before)
		if err != nil {
			return
		}
		change := Change{Name: "app"}
		if change.Policy, err = policy.Parse("app", after); err != nil {
			change.Policy = nil
		}
		who := &policy.Identity{ID: ann, Name: name}
		u := by(ann, path, true)
		u.Policies = []string{"app"}
		was := policy.CompileFor(who, old).Decide(u.query())
		u.Allowed = was.Allowed
		would := policy.Decision{}
		if change.Policy != nil {
			would = policy.CompileFor(who, change.Policy).Decide(u.query())
		}
		var log Log
		log.Add(u)
		s, err := log.Simulate(func(string, string) (*policy.Policy, error) { return old, nil }, change)
		if err != nil {
			t.Fatal(err)
		}
		lost := len(s.Outcomes) == 1 && s.Outcomes[0].Verdict == Lost
		if s.Sure() && was.Allowed && lost == would.Allowed {
			t.Errorf("%q to %q for %q by %q: lost %v, and allowed would be %v", before, after, path, name, lost, would.Allowed)
		}
	})
}
