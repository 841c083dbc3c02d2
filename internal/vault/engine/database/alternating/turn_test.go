package alternating

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

var begin = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func two() *Role {
	return &Role{Name: "app", Settings: Settings{DB: "db", Usernames: []string{"a", "b"}, Overlap: Users}}
}

// ask does an act written as "publish new", as the holder h, on turn n.
func ask(r *Role, n int64, what string) (Asked, error) {
	verb, side, _ := strings.Cut(what, " ")
	before := *r
	asked, err := r.Ask(Act{Verb: Verb(verb), Turn: n, Side: Side(side), Holder: "h", Now: begin})
	if err != nil {
		*r = before // as a transaction that does not commit
	}
	return asked, err
}

// at brings a role to a step of turn 2; version 1 is the old one.
func at(t *testing.T, s Step, shows Side) *Role {
	t.Helper()
	r := two()
	do := func(n int64, all ...string) {
		t.Helper()
		for _, what := range all {
			asked, err := ask(r, n, what)
			if err != nil {
				t.Fatalf("%d %s: %v", n, what, err)
			}
			if asked.CarryOut {
				r.finish(begin)
			}
		}
	}
	do(1, "stage", "publish new", "close", "retire old")
	path := map[Step][]string{
		Staged: {"stage"}, Closed: {"stage", "publish new", "close"}, Done: {"stage", "publish new", "close", "retire old"}, Discarded: {"stage", "retire new"},
	}
	last := ""
	switch s {
	case Staging:
		last = "stage"
	case Closing:
		do(2, "stage", "publish new")
		last = "close"
	case Reopening:
		do(2, path[Closed]...)
		last = "reopen"
	case RetiringOld:
		do(2, path[Closed]...)
		last = "retire old"
	case RetiringNew:
		do(2, "stage")
		last = "retire new"
	default:
		do(2, path[s]...)
	}
	if last != "" {
		if _, err := ask(r, 2, last); err != nil {
			t.Fatal(err)
		}
	}
	if s == Staged && shows == NewSide {
		do(2, "publish new")
	}
	if r.Step != s || r.ShownSide() != string(shows) {
		t.Fatalf("the role is at %s and shows %s, want %s and %s", r.Step, r.ShownSide(), s, shows)
	}
	return r
}

// What every act means at every step. "-" is nothing to do, ">step" is carried
// out, "=step" needs no database, "i" is Invalid, "c" Conflict.
func TestAsk(t *testing.T) {
	columns := []string{"stage", "publish new", "publish old", "close", "reopen", "retire old", "retire new"}
	for _, row := range []struct {
		step  Step
		shows Side
		want  string
	}{
		{Staging, OldSide, ">staging i - i - i >retiring-new"},
		{Staged, OldSide, "- =staged - i - i >retiring-new"},
		{Staged, NewSide, "- - =staged >closing - i i"},
		{Closing, NewSide, "- - i >closing >reopening i i"},
		{Closed, NewSide, "- - i - >reopening >retiring-old i"},
		{Reopening, NewSide, "- - i >closing >reopening i i"},
		{RetiringOld, NewSide, "- - c - c >retiring-old c"},
		{Done, NewSide, "- - c - c - c"},
		{RetiringNew, OldSide, "c c - c - c >retiring-new"},
		{Discarded, OldSide, "c c - c - c -"},
	} {
		for i, want := range strings.Fields(row.want) {
			r := at(t, row.step, row.shows)
			before := *r
			asked, err := ask(r, 2, columns[i])
			got := "-"
			switch {
			case errs.Is(err, errs.Conflict):
				got = "c"
			case errs.Is(err, errs.Invalid):
				got = "i"
			case err != nil:
				t.Fatal(err)
			case asked.CarryOut:
				got = ">" + string(r.Step)
			case asked.Changed:
				got = "=" + string(r.Step)
			}
			if got != want {
				t.Errorf("%s showing %s: %s is %s, want %s (%v)", row.step, row.shows, columns[i], got, want, err)
			}
			if got == "-" && (before.Step != r.Step || before.ShowsNew != r.ShowsNew || asked.Note != "") {
				t.Errorf("%s: %s changed something", row.step, columns[i])
			}
		}
	}
}

// A turn that is not the present one, and a holder who is not the role's.
func TestAskOfAnother(t *testing.T) {
	for _, c := range []struct {
		step Step
		turn int64
		verb string
		want string
	}{
		{Staged, 1, "stage", "turn 1 is not the present one of the alternating role \"app\": that is turn 2 (staged) of h"},
		{Staged, 1, "close", "that is turn 2"},
		{Staged, 3, "stage", "cannot begin while another one"},
		{Staged, 3, "publish new", "turn 3 is not the present one"},
		{Done, 1, "retire old", "that is turn 2 (done)"},
		{Done, 3, "close", "turn 3 is not the present one"},
	} {
		shows := OldSide
		if c.step == Done {
			shows = NewSide
		}
		r := at(t, c.step, shows)
		if _, err := ask(r, c.turn, c.verb); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, turn %d of %s: %v", c.verb, c.turn, c.step, err)
		}
	}
	r := at(t, Staged, OldSide)
	for _, holder := range []string{"", "other"} {
		if _, err := r.Ask(Act{Verb: Publish, Turn: 2, Side: NewSide, Holder: holder}); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "turned by h") {
			t.Errorf("as %q: %v", holder, err)
		}
	}
	r.Holder = ""
	if asked, err := r.Ask(Act{Verb: Reopen, Turn: 2, Holder: "other"}); err != nil || !asked.Changed || r.Holder != "other" {
		t.Errorf("a new holder: %+v, %v, %q", asked, err, r.Holder)
	}
	if _, err := two().Ask(Act{Verb: Close, Turn: 1}); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "begins with stage") {
		t.Errorf("before the first turn: %v", err)
	}
	for _, n := range []int64{0, -1} {
		if _, err := two().Ask(Act{Verb: Stage, Turn: n}); !errs.Is(err, errs.Invalid) {
			t.Errorf("turn %d: %v", n, err)
		}
	}
	r = at(t, Done, NewSide)
	if asked, err := ask(r, 9, "stage"); err != nil || !asked.Begun || r.Turn != 9 {
		t.Errorf("turns that were skipped: %+v, %v", asked, err)
	}
}

// An act that comes late, from a process of the same holder that was stopped just
// before it sent it, is refused at every step, and changes nothing.
func TestLateActIsRefused(t *testing.T) {
	acts := []string{"stage", "publish new", "publish old", "close", "reopen", "retire old", "retire new"}
	for _, step := range []Step{Staging, Staged, Closing, Closed, Reopening, RetiringOld, RetiringNew, Done, Discarded} {
		for _, what := range acts {
			for _, late := range []int64{6, 1, 0} { // 0: who knows no numbers
				shows := NewSide
				if step == Staging || step == Staged || step == RetiringNew || step == Discarded {
					shows = OldSide
				}
				r := at(t, step, shows)
				r.Fence = 7
				before := *r
				verb, side, _ := strings.Cut(what, " ")
				asked, err := r.Ask(Act{Verb: Verb(verb), Turn: 2, Side: Side(side), Holder: "h", Fence: late, Now: begin})
				if !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "comes late") || asked.CarryOut {
					t.Errorf("%s: %s with fence %d: %+v, %v", step, what, late, asked, err)
				}
				if r.Step != before.Step || r.ShowsNew != before.ShowsNew || r.Turn != before.Turn || r.Fence != 7 {
					t.Errorf("%s: %s with fence %d changed the role", step, what, late)
				}
			}
		}
	}
}

// The highest number is noted by whatever is asked, also where there is nothing
// else to do; a turn that begins, and who gets the role by hand, begin anew.
func TestFenceIsNoted(t *testing.T) {
	r := at(t, Closed, NewSide)
	with := func(fence int64, n int64, verb Verb) Asked {
		t.Helper()
		asked, err := r.Ask(Act{Verb: verb, Turn: n, Side: NewSide, Holder: "h", Fence: fence, Now: begin})
		if err != nil {
			t.Fatalf("%s with %d: %v", verb, fence, err)
		}
		if asked.CarryOut {
			r.finish(begin)
		}
		return asked
	}
	if asked := with(3, 2, Close); !asked.Noted || asked.Changed || r.Fence != 3 {
		t.Errorf("closed again: %+v, fence %d", asked, r.Fence)
	}
	if asked := with(3, 2, Close); asked.Noted || asked.Changed {
		t.Errorf("closed once more: %+v", asked)
	}
	with(4, 2, Reopen)
	if _, err := r.Ask(Act{Verb: Close, Turn: 2, Holder: "h", Fence: 3, Now: begin}); !errs.Is(err, errs.Conflict) {
		t.Errorf("a close that comes after the reopen that followed it: %v", err)
	}
	with(5, 2, Close)
	if _, err := r.Ask(Act{Verb: Retire, Side: OldSide, Turn: 2, Holder: "h", Fence: 6, Now: begin}); err != nil {
		t.Fatal(err)
	}
	r.finish(begin)
	if with(1, 3, Stage); r.Fence != 1 {
		t.Errorf("the next turn has fence %d: a Rotation that was made anew counts from 1", r.Fence)
	}
}

// A turn that was discarded before it was staged cannot be staged late, and keeps
// no other one waiting.
func TestDiscardedBeforeStaged(t *testing.T) {
	r := at(t, Done, NewSide)
	if asked, err := ask(r, 3, "retire new"); err != nil || asked.CarryOut || !asked.Changed || r.Step != Discarded || r.Turn != 3 || r.UnderWay() {
		t.Fatalf("%+v, %v: %s", asked, err, r.Describe())
	}
	if newer, older := r.Of(); newer != "" || older != r.Live.Username {
		t.Errorf("sides %q and %q", newer, older)
	}
	if _, err := ask(r, 3, "stage"); !errs.Is(err, errs.Conflict) {
		t.Errorf("staged late: %v", err)
	}
	if asked, err := ask(r, 4, "stage"); err != nil || !asked.Begun {
		t.Errorf("the next: %+v, %v", asked, err)
	}
	if _, err := ask(r, 5, "retire new"); !errs.Is(err, errs.Conflict) {
		t.Errorf("a turn is discarded while another goes on: %v", err)
	}
}

// The first turn has no old one, and says so.
func TestFirstTurn(t *testing.T) {
	r := two()
	for i, what := range []string{"stage", "publish new", "close", "reopen", "retire old"} {
		asked, err := ask(r, 1, what)
		if err != nil || (i >= 2) != strings.Contains(asked.Note, "no old credential") || asked.CarryOut != (i == 0) {
			t.Fatalf("%s: %+v, %v", what, asked, err)
		}
		if asked.CarryOut {
			r.finish(begin)
		}
	}
	if newer, older := r.Of(); r.Step != Done || newer != "a" || older != "" || r.Shown().Version != 1 {
		t.Errorf("after the first turn: %s, %q, %q", r.Step, newer, older)
	}
	if _, err := ask(r, 2, "stage"); err != nil || r.New.Username != "b" {
		t.Errorf("the second turn is of %q, %v", r.New.Username, err)
	}
}

func TestChange(t *testing.T) {
	base := Settings{DB: "db", Usernames: []string{"a", "b"}, Overlap: Users}
	with := func(f func(*Settings)) Settings {
		s := base
		s.Usernames = slices.Clone(base.Usernames)
		f(&s)
		return s
	}
	made := []string{"make"}
	for what, c := range map[string]struct {
		from *Role
		to   Settings
		want string // "" = it may be
	}{
		"nothing":                  {two(), base, ""},
		"no connection":            {two(), with(func(s *Settings) { s.DB = "" }), "db_name is needed"},
		"one user":                 {two(), with(func(s *Settings) { s.Usernames = s.Usernames[:1] }), "overlap=passwords"},
		"the same twice":           {two(), with(func(s *Settings) { s.Usernames[1] = "a" }), "differ"},
		"an empty name":            {two(), with(func(s *Settings) { s.Usernames[1] = "" }), "empty name"},
		"an odd overlap":           {two(), with(func(s *Settings) { s.Overlap = "x" }), "overlap must be"},
		"passwords of two":         {two(), with(func(s *Settings) { s.Overlap = Passwords }), "one name"},
		"passwords and statements": {two(), Settings{DB: "db", Usernames: []string{"a"}, Overlap: Passwords, Creation: made}, "no meaning"},
		"removing only":            {two(), with(func(s *Settings) { s.Revocation = made }), "without creation_statements"},
		"an expiration":            {two(), with(func(s *Settings) { s.Creation = []string{"x", "until '{{ expiration }}'"} }), "VALID UNTIL"},
		"making and setting":       {two(), with(func(s *Settings) { s.Creation, s.Statements = made, made }), "give either"},
		"another connection":       {at(t, Done, NewSide), with(func(s *Settings) { s.DB = "x" }), "cannot be changed"},
		"users under way":          {at(t, Staged, OldSide), with(func(s *Settings) { s.Usernames[1] = "c" }), "under way"},
		"making under way":         {at(t, Closed, NewSide), with(func(s *Settings) { s.Creation = made }), "under way"},
		"a policy under way":       {at(t, Closed, NewSide), with(func(s *Settings) { s.Policy = "p" }), ""},
		"who is in use":            {at(t, Done, NewSide), with(func(s *Settings) { s.Usernames[1] = "c" }), "must keep"},
		"who is not":               {at(t, Done, NewSide), with(func(s *Settings) { s.Usernames[0] = "c" }), ""},
	} {
		err := c.from.Change(c.to)
		if c.want == "" && err != nil || c.want != "" && (!errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
}

// Whatever is asked in whatever order, with crashes before anything is finished:
// what readers are given works, and a turn that has ended leaves one credential.
func FuzzAsk(f *testing.F) {
	f.Add([]byte{0, 1, 5, 0, 1, 3, 4, 3, 5})
	f.Add([]byte{0, 6, 0, 1, 2, 6})
	f.Add([]byte{0, 0x80, 1, 3, 0x83, 4, 0x84, 2, 6, 0})
	verbs := []string{"stage", "publish new", "publish old", "close", "reopen", "retire old", "retire new"}
	f.Fuzz(func(t *testing.T, script []byte) {
		r := two()
		w := map[int64]bool{} // by version: it logs in
		for _, b := range script {
			turn := r.Turn
			if !r.UnderWay() && b&0x40 == 0 {
				turn++
			}
			what := verbs[int(b&0x3f)%len(verbs)]
			asked, err := ask(r, max(turn, 1), what)
			if err != nil {
				if !errs.Is(err, errs.Conflict) && !errs.Is(err, errs.Invalid) {
					t.Fatalf("%s: %v", what, err)
				}
				continue
			}
			if asked.CarryOut {
				switch r.Step { // the database does it, and perhaps is not heard of
				case Staging:
					w[r.New.Version] = true
				case Closing, RetiringOld:
					w[r.Live.Version] = false
				case Reopening:
					w[r.Live.Version] = true
				case RetiringNew:
					w[r.New.Version] = false
				}
				if b&0x80 == 0 {
					r.finish(begin)
				}
			}
			if shown := r.Shown(); shown != nil && !w[shown.Version] {
				t.Fatalf("after %s readers are given version %d, which does not log in: %s", what, shown.Version, r.Describe())
			}
			for version, works := range w {
				if works && !r.UnderWay() && (r.Live == nil || r.Live.Version != version) {
					t.Fatalf("after %s version %d still logs in", what, version)
				}
			}
		}
	})
}
