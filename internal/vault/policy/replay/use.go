package replay

import (
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/tidwall/gjson"

	"github.com/strongkeep/strongkeep/internal/vault/policy"
)

// Use is something that was done, or refused, as one audit line tells it.
type Use struct {
	Home      string   // path of the namespace whose policies decided: "" or "team-a/"
	Path      string   // complete, with the namespace in front
	Operation string   // as in the log
	Policies  []string // of the token, sorted
	Granting  []string // those of Policies that allowed it
	Params    []string // names of the parameters
	Who       string   // display name
	Entity    string   // ID of the entity if Path holds it, Elsewhere if not; "" = there is none
	At        time.Time
	Allowed   bool
}

// Elsewhere stands for every entity whose ID a path does not hold: whichever it
// is, no rule comes to match that path by it.
const Elsewhere = "another-entity"

// capabilities maps operations to what a policy must grant.
var capabilities = map[string]policy.Capability{
	"create": policy.Create, "read": policy.Read, "update": policy.Update, "delete": policy.Delete,
	"list": policy.List, "patch": policy.Patch,
}

// FromLine reads a Use from the line of a request's answer. ok is false for
// what policy did not decide: logins, open paths, requests without a token.
func FromLine(line []byte, at time.Time) (u Use, ok bool) {
	open := slices.Index(line, '{')
	if open < 0 {
		return u, false
	}
	g := gjson.ParseBytes(line[open:])
	auth, request := g.Get("auth"), g.Get("request")
	results := auth.Get("policy_results")
	if !results.Exists() || capabilities[request.Get("operation").Str] == 0 {
		return u, false
	}
	space := request.Get("namespace.path").Str
	u = Use{
		Home: space, Path: space + request.Get("path").Str, Operation: request.Get("operation").Str,
		Policies: texts(auth.Get("policies")), Who: auth.Get("display_name").Str, At: at, Allowed: results.Get("allowed").Bool(),
	}
	results.Get("granting_policies").ForEach(func(_, p gjson.Result) bool {
		u.Granting = append(u.Granting, p.Get("name").Str)
		u.Home = p.Get("namespace_path").Str
		return true
	})
	request.Get("data").ForEach(func(name, _ gjson.Result) bool {
		u.Params = append(u.Params, name.Str)
		return true
	})
	if u.Entity = auth.Get("entity_id").Str; u.Entity != "" && !strings.Contains(u.Path, u.Entity) {
		u.Entity = Elsewhere
	}
	slices.Sort(u.Policies)
	// A path that is open to every token is allowed and granted by none; root
	// needs no rules either, and has none that could be changed.
	return u, len(u.Policies) > 0 && (!u.Allowed || len(u.Granting) > 0) && !slices.Contains(u.Policies, policy.RootName)
}

func texts(list gjson.Result) []string {
	var out []string
	list.ForEach(func(_, v gjson.Result) bool {
		out = append(out, v.Str)
		return true
	})
	return out
}

// query is what the ACL is asked again.
func (u *Use) query() policy.Query {
	return policy.Query{Path: u.Path, Want: capabilities[u.Operation], Params: names(u.Params)}
}

// within is query with the path within the namespace whose policies decide.
func (u *Use) within() policy.Query {
	q := u.query()
	q.Path = strings.TrimPrefix(q.Path, u.Home)
	return q
}

// names are parameters whose values the log does not tell.
type names []string

func (n names) Names() []string { return n }

func (n names) Field(name string) jsontext.Value {
	if slices.Contains(n, name) {
		return jsontext.Value(`"?"`)
	}
	return nil
}

// Tally is a use that happened Count times.
type Tally struct {
	Use
	Count int64
	Last  time.Time
	Names []string // some of who did it
}

// maxNames bounds Tally.Names.
const maxNames = 5

// Log is a sum of uses, as large as there are different ones.
type Log struct {
	seen map[string]*Tally
}

// Add counts u. What is only told of one of its occurrences (time, who) is
// kept as the last and the first few.
func (l *Log) Add(u Use) {
	if l.seen == nil {
		l.seen = map[string]*Tally{}
	}
	key := strings.Join([]string{u.Home, u.Path, u.Operation, u.Entity, strings.Join(u.Policies, ","), strings.Join(u.Params, ",")}, "\x00")
	t := l.seen[key]
	if t == nil {
		t = &Tally{Use: u}
		l.seen[key] = t
	}
	t.Count++
	t.Allowed = t.Allowed || u.Allowed
	if u.At.After(t.Last) {
		t.Last = u.At
	}
	if len(t.Names) < maxNames && u.Who != "" && !slices.Contains(t.Names, u.Who) {
		t.Names = append(t.Names, u.Who)
	}
}

// Len returns how many different uses there are.
func (l *Log) Len() int { return len(l.seen) }

// all returns the uses by path, then operation.
func (l *Log) all() []*Tally {
	out := make([]*Tally, 0, len(l.seen))
	for _, t := range l.seen {
		out = append(out, t)
	}
	order := func(t *Tally) string {
		return t.Path + "\x00" + t.Operation + "\x00" + strings.Join(t.Policies, ",") + "\x00" + t.Entity
	}
	slices.SortFunc(out, func(a, b *Tally) int { return strings.Compare(order(a), order(b)) })
	return out
}
