package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

var published = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

func after(d time.Duration) *time.Time { t := published.Add(d); return &t }

func TestJudge(t *testing.T) {
	live := func(version int64, d time.Duration) Token {
		return Token{Accessor: "hmac-sha256:aa", DisplayName: "token-web", Live: true, Version: version, Last: after(d), Count: 1}
	}
	with := func(tok Token, change func(*Token)) Token { change(&tok); return tok }
	ended := func(tok *Token) { tok.Live = false }
	leased := func(n int, oldest time.Duration) func(*Token) {
		return func(tok *Token) {
			tok.Leased, tok.Leases = true, n
			if n > 0 {
				tok.OldestLease = after(oldest)
			}
		}
	}
	entity := func(accessor string) func(*Token) {
		return func(tok *Token) { tok.EntityID, tok.EntityName, tok.Accessor = "e-1", "web", accessor }
	}
	const before, later = -time.Hour, time.Minute
	for _, c := range []struct {
		name                   string
		tokens                 []Token
		back                   bool
		total, proven, endedOf int32
		awaited                string
	}{
		{name: "nobody"},
		{name: "has the new one", tokens: []Token{live(7, later)}, total: 1, proven: 1},
		{name: "has the old one only", tokens: []Token{live(6, before)}, total: 1, awaited: "token-web: it read version 6 last, not 7: let it read again"},
		{name: "read the old one again", tokens: []Token{live(6, later)}, total: 1, awaited: "version 6 last"},
		{name: "has ended with the old one", tokens: []Token{with(live(6, before), ended)}, total: 1, endedOf: 1},
		{name: "is the operator's own", tokens: []Token{with(live(6, before), func(tok *Token) { tok.Own = true })}},
		{name: "without versions, read before", tokens: []Token{live(0, before)}, total: 1, awaited: "it has not read version 7"},
		{name: "without versions, read since", tokens: []Token{live(0, later)}, total: 1, proven: 1},
		{name: "a lease from before lives", tokens: []Token{with(live(0, later), leased(2, before))}, total: 1, awaited: "has not read"},
		{name: "leases from since only", tokens: []Token{with(live(0, later), leased(1, later))}, total: 1, proven: 1},
		{name: "its leases have ended", tokens: []Token{with(live(0, before), leased(0, 0))}, total: 1, proven: 1},
		{name: "one token of an entity of two has it", tokens: []Token{with(live(7, later), entity("a")), with(live(6, before), entity("b"))}, total: 1, awaited: "entity web (token-web): 1 of its 2 tokens have not read version 7 last"},
		{name: "the other one has ended", tokens: []Token{with(live(7, later), entity("a")), with(live(6, before), func(tok *Token) { entity("b")(tok); ended(tok) })}, total: 1, proven: 1},
		{name: "two tokens of no entity", tokens: []Token{live(7, later), with(live(6, before), func(tok *Token) { tok.Accessor = "hmac-sha256:bb" })}, total: 2, proven: 1, awaited: "version 6 last"},
		{name: "on the way back, never moved", back: true, tokens: []Token{live(6, before)}, total: 1, proven: 1},
		{name: "on the way back, has what is to go", back: true, tokens: []Token{live(7, later)}, total: 1, awaited: "it read version 7 last, not 8"},
		{name: "on the way back, came back", back: true, tokens: []Token{live(8, 2*time.Hour)}, total: 1, proven: 1},
		{name: "on the way back, without versions", back: true, tokens: []Token{live(0, later)}, total: 1, awaited: "has not read version 8"},
		{name: "on the way back, a lease from before the turn", back: true, tokens: []Token{with(live(0, before), leased(1, before))}, total: 1, proven: 1},
		{name: "on the way back, leases from before it and since", back: true, tokens: []Token{with(live(0, later), leased(2, before))}, total: 1, awaited: "has not read version 8"},
		{name: "on the way back, leases of which no log tells", back: true, tokens: []Token{with(live(0, later), func(tok *Token) { leased(2, before)(tok); tok.Last = nil })}, total: 1, awaited: "has not read version 8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := Input{Answer: Answer{Tokens: c.tokens}, Version: "7", Previous: "6", Published: published}
			if c.back {
				in.Version, in.Back, in.Turned = "8", true, *after(time.Hour)
			}
			got := Judge(in)
			if got.Total != c.total || got.Proven != c.proven || got.Ended != c.endedOf || !got.Complete || len(got.Evidence) != int(c.total) {
				t.Errorf("%+v", got)
			}
			if text := strings.Join(got.Awaited, "|"); c.awaited == "" && text != "" || !strings.Contains(text, c.awaited) {
				t.Errorf("awaited %q, want %q", text, c.awaited)
			}
			for _, e := range got.Evidence {
				if e.Proven != (e.Missing == "") || strings.Contains(fmt.Sprint(e), "hmac-") {
					t.Errorf("%+v", e)
				}
			}
		})
	}
}

// What is read between the decision to show a credential and the time it is shown is
// the other one.
func TestJudgeByWhenItWasShown(t *testing.T) {
	read := Token{Accessor: "a", Live: true, Last: after(90 * time.Minute)}
	for name, c := range map[string]struct {
		Input
		awaited int
	}{
		"forward, not known":         {Input{Published: published}, 0},
		"forward, shown before":      {Input{Published: published, Changed: *after(time.Hour)}, 0},
		"forward, shown later":       {Input{Published: published, Changed: *after(2 * time.Hour)}, 1},
		"back, not known":            {Input{Published: published, Back: true, Turned: *after(time.Hour)}, 0},
		"back, not shown again yet":  {Input{Published: published, Back: true, Turned: *after(time.Hour), Changed: published}, 0},
		"back, shown again later":    {Input{Published: published, Back: true, Turned: *after(time.Hour), Changed: *after(2 * time.Hour)}, 1},
		"back, shown again at once":  {Input{Published: published, Back: true, Turned: *after(time.Hour), Changed: *after(time.Hour)}, 0},
		"not published: all have it": {Input{Changed: *after(-time.Hour)}, 1},
	} {
		c.Tokens, c.Version = []Token{read}, "8"
		if got := Judge(c.Input); len(got.Awaited) != c.awaited {
			t.Errorf("%s: %q is awaited, want %d", name, got.Awaited, c.awaited)
		}
	}
}

// Many clients are counted, and few named: those that are awaited before all others.
func TestJudgeMany(t *testing.T) {
	in := Input{Answer: Answer{Unknown: []string{"x"}}, Version: "7", Published: published}
	for i := range 200 {
		in.Tokens = append(in.Tokens, Token{Accessor: fmt.Sprint(i), DisplayName: strings.Repeat("n", 1000) + "\n", Live: i%3 > 0, Version: int64(6 + i%2), Last: after(0)})
	}
	got := Judge(in)
	if got.Total != 200 || got.Proven+got.Ended+int32(len(got.Awaited)) != 200 || got.Complete || len(got.Evidence) != MaxEvidence {
		t.Errorf("%d, %d, %d, %d", got.Total, got.Proven, got.Ended, len(got.Evidence))
	}
	for _, e := range got.Evidence {
		if e.Missing == "" || len(e.Name) > 2*maxName || strings.Contains(e.Name, "\n") {
			t.Errorf("%+v", e)
		}
	}
}

// vault answers what it is told to.
type vault struct {
	answer string
	err    error
	path   string
	body   map[string]any
	asked  int
}

func (v *vault) Call(_ context.Context, _, path string, body any) (json.RawMessage, error) {
	v.asked++
	v.path, v.body = path, body.(map[string]any)
	return json.RawMessage(v.answer), v.err
}

func (*vault) Locate(path string) string { return strings.TrimSuffix("vault:8200/team/"+path, "/") }
func (*vault) Accessors() []string       { return []string{"mine"} }

func TestAsk(t *testing.T) {
	const all = `{"complete":true,"incomplete":[],"clients":[{"display_name":"web"}]}`
	for _, c := range []struct {
		name     string
		vault    vault
		location string
		tokens   int
		unknown  string
		kind     errs.Kind // of the error; 0: none
	}{
		{name: "told", vault: vault{answer: all}, tokens: 1},
		{name: "not all", vault: vault{answer: `{"complete":false,"incomplete":["the log begins later"],"clients":[]}`}, unknown: "the log begins later"},
		{name: "not all, and no reason", vault: vault{answer: `{"complete":false,"clients":[]}`}, unknown: "does not say why"},
		{name: "no right", vault: vault{err: errs.New(errs.Denied, `give it the capability "update" on "sys/readers/secret/data/a b"`)}, unknown: `"update" on "sys/readers/secret/data/a b"`},
		{name: "another kind of vault", vault: vault{err: errs.New(errs.NotExist, "unsupported path")}, unknown: "does not say who reads what"},
		{name: "an answer that is none", vault: vault{answer: `{}`}, unknown: "is none"},
		{name: "an outage", vault: vault{err: errs.New(errs.Unavailable, "connection refused")}, kind: errs.Unavailable},
		{name: "sealed", vault: vault{err: errs.New(errs.Sealed, "sealed")}, kind: errs.Unavailable},
		{name: "another vault", location: "other:8200/secret/data/x", unknown: "does not reach other:8200"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := Question{Vault: &c.vault, Location: "vault:8200/team/secret/data/a b", Since: published}
			if c.location != "" {
				q.Location = c.location
			}
			var m Memory
			got, err := m.Ask(t.Context(), q, published)
			if c.kind != 0 {
				if !errs.Is(err, c.kind) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil || len(got.Tokens) != c.tokens || !strings.Contains(strings.Join(got.Unknown, " "), c.unknown) || (c.unknown == "") != (len(got.Unknown) == 0) {
				t.Errorf("%+v, %v", got, err)
			}
			if c.vault.asked > 0 && (c.vault.path != "sys/readers/secret/data/a%20b" || c.vault.body["since"] != "2026-03-01T10:00:00Z" || fmt.Sprint(c.vault.body["own_accessors"]) != "[mine]") {
				t.Errorf("asked %s %v", c.vault.path, c.vault.body)
			}
		})
	}
}

// An answer is good for a while, unless it must be fresh, or the question is another.
func TestAskAgain(t *testing.T) {
	v := &vault{answer: `{"complete":true,"clients":[]}`}
	var m Memory
	q := Question{Vault: v, Location: "vault:8200/team/x/y", Since: published}
	fresh, moved := q, q
	fresh.Fresh, moved.Since = true, published.Add(time.Second)
	for i, step := range []struct {
		q     Question
		at    time.Duration
		asked int
	}{{q, 0, 1}, {q, Again - 1, 1}, {q, Again, 2}, {fresh, Again, 3}, {q, Again, 3}, {moved, Again, 4}, {moved, 0, 5}} { // the last: the clock went back
		if _, err := m.Ask(t.Context(), step.q, published.Add(step.at)); err != nil || v.asked != step.asked {
			t.Errorf("step %d: asked %d times, %v", i, v.asked, err)
		}
	}
	v.err = errs.New(errs.Unavailable, "away")
	if _, err := m.Ask(t.Context(), fresh, published); err == nil {
		t.Error("an outage is told as the last answer")
	}
}
