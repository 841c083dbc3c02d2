package alternating

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Overlap is how an old and a new credential exist side by side.
type Overlap string

// The overlaps.
const (
	Users     Overlap = "users"     // two users alternate
	Passwords Overlap = "passwords" // one user has two passwords
)

// Settings are what a person says of a role.
type Settings struct {
	DB         string
	Usernames  []string // two that differ, or one with Passwords
	Overlap    Overlap
	Creation   []string `json:",omitempty"` // that make a user who is staged; empty = the users are there
	Revocation []string `json:",omitempty"` // that remove one who is retired, with Creation; empty = the usual ones
	Statements []string `json:",omitempty"` // that set the password of a user who is there; empty = the usual ones
	Policy     string   `json:",omitempty"` // of passwords; "" = the connection's
}

// Credential is one that was made. It is never changed once it is part of a Role.
type Credential struct {
	Username string
	Password string
	Version  int64 // the turn that made it; 0 = it was there before the role
	Proved   bool  `json:",omitempty"` // it has logged in, so whatever has its name is it
}

// Role is a credential that turns, stored at alternating/NAME as JSON. What Load
// returns is shared: change a copy, and Save that.
type Role struct {
	Settings
	Holder string `json:",omitempty"` // who moves turns; "" = nobody yet
	Turn   int64  // the last that was begun; 0 = none
	Fence  int64  `json:",omitempty"` // the highest number that an act of Turn came with; 0 = none did
	Step   Step   `json:",omitempty"`
	Since  time.Time
	Error  string `json:",omitempty"` // of the last try to carry out Step, without secrets

	Live      *Credential `json:",omitempty"` // in force before the turn, and the one that is left when it has ended; nil = none
	New       *Credential `json:",omitempty"` // of the turn that goes on
	ShowsNew  bool        `json:",omitempty"` // readers are given New, not Live
	Retired   string      `json:",omitempty"` // the user whose credential the last turn's end removed; "" = none
	Published time.Time   // since when readers are given what they are; zero = nothing yet

	Name string `json:"-"`
}

// Prefix is where roles are stored, each below its name.
const Prefix = "alternating/"

// Load reads a role; nil if there is none.
func Load(ctx context.Context, tx engine.Tx, name string) (*Role, error) {
	e, err := tx.Get(ctx, Prefix+name)
	if err != nil || !e.Exists() {
		return nil, err
	}
	return store.Decode(e, func(b []byte) (*Role, error) {
		r := &Role{Name: name}
		if json.Unmarshal(b, r) != nil {
			return nil, errs.Newf(errs.Internal, "decoding the alternating role %q: the stored entry is damaged or of a newer format", name)
		}
		return r, nil
	})
}

// Save stores the role.
func (r *Role) Save(tx engine.Tx) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return errs.Newf(errs.Internal, "encoding the alternating role %q: %w", r.Name, err)
	}
	tx.Put(Prefix+r.Name, raw)
	return nil
}

// Shown is what readers are given; nil if nothing was published.
func (r *Role) Shown() *Credential {
	if r.ShowsNew {
		return r.New
	}
	return r.Live
}

// Offer returns the new credential of turn, which has logged in and which readers
// are not given yet. Conflict: it is not the present turn, or another's.
func (r *Role) Offer(turn int64, holder string) (*Credential, error) {
	switch {
	case turn != r.Turn || r.Turn == 0:
		return nil, errs.Newf(errs.Conflict, "turn %d is not the present one of the alternating role %q: that is %s", turn, r.Name, r.present())
	case r.Holder != "" && r.Holder != holder:
		return nil, errs.Newf(errs.Conflict, "the alternating role %q is turned by %s: only that is given what is staged", r.Name, r.Holder)
	case r.Step != Staged || r.ShowsNew:
		return nil, errs.Newf(errs.Conflict, "turn %d of the alternating role %q has nothing that is staged and not published: it is at %s", turn, r.Name, r.Step)
	}
	return r.New, nil
}

// ShownSide is which side of the present turn readers are given; "" where nothing
// was published.
func (r *Role) ShownSide() string {
	switch {
	case r.Shown() == nil:
		return ""
	case r.ShowsNew || r.Step == Done:
		return string(NewSide)
	}
	return string(OldSide)
}

// Import has a role that is being made begin with the password that its first user
// has: readers are given it, and the first turn has it as its old one.
func (r *Role) Import(password string, now time.Time) {
	r.Live, r.Published = &Credential{Username: r.Usernames[0], Password: password}, now
}

// UnderWay reports whether a turn goes on.
func (r *Role) UnderWay() bool { return r.New != nil }

// Of returns the users of the present turn's sides; with Passwords both are one.
// "" where there is none.
func (r *Role) Of() (newer, older string) {
	live := ""
	if r.Live != nil {
		live = r.Live.Username
	}
	switch {
	case r.New != nil:
		return r.New.Username, live
	case r.Step == Discarded:
		return r.Retired, live
	}
	return live, r.Retired
}

// other is the user that alternates with username; the first where there is none.
func (r *Role) other(username string) string {
	if at := slices.Index(r.Usernames, username); at >= 0 {
		return r.Usernames[(at+1)%len(r.Usernames)]
	}
	return r.Usernames[0]
}

// next is the user that the next turn makes.
func (r *Role) next() string {
	if r.Live == nil {
		return r.Usernames[0]
	}
	return r.other(r.Live.Username)
}

// Makes reports whether turns make and remove users.
func (r *Role) Makes() bool { return len(r.Creation) > 0 }

var expiration = regexp.MustCompile(`\{\{ *expiration *\}\}`)

// Check is an error of kind Invalid if a person cannot mean the settings.
func (s *Settings) Check() error { //nolint:cyclop // a flat list of conditions
	switch {
	case s.DB == "":
		return errs.New(errs.Invalid, "db_name is needed: one of those that config/ lists")
	case s.Overlap != Users && s.Overlap != Passwords:
		return errs.New(errs.Invalid, `overlap must be "users", two users that alternate, or "passwords", two passwords of one user`)
	case slices.Contains(s.Usernames, ""):
		return errs.New(errs.Invalid, "usernames must not hold an empty name")
	case s.Overlap == Users && (len(s.Usernames) != 2 || s.Usernames[0] == s.Usernames[1]):
		return errs.New(errs.Invalid, `usernames must be two names that differ, which alternate; for one user who can have two passwords say overlap=passwords`)
	case s.Overlap == Passwords && len(s.Usernames) != 1:
		return errs.New(errs.Invalid, "usernames must be one name with overlap=passwords")
	case s.Overlap == Passwords && len(s.Creation)+len(s.Revocation)+len(s.Statements) > 0:
		return errs.New(errs.Invalid, "with overlap=passwords the user stays, and statements have no meaning: leave creation_statements, revocation_statements and rotation_statements out")
	case len(s.Revocation) > 0 && len(s.Creation) == 0:
		return errs.New(errs.Invalid, "revocation_statements without creation_statements would remove a user that no turn could make again: give both, or neither")
	case slices.ContainsFunc(s.Creation, expiration.MatchString):
		return errs.New(errs.Invalid, "creation_statements name {{expiration}}, which a user that alternates has not: it lasts until it is retired; leave VALID UNTIL out")
	case len(s.Statements) > 0 && len(s.Creation) > 0:
		return errs.New(errs.Invalid, "rotation_statements set the password of a user who is there, and creation_statements make one: give either")
	}
	return nil
}

// Change takes new settings over, where the state allows it. Kind Invalid: it does not.
func (r *Role) Change(to Settings) error {
	if err := to.Check(); err != nil {
		return err
	}
	same := slices.Equal(r.Usernames, to.Usernames) && r.Overlap == to.Overlap
	switch {
	case r.DB != "" && r.DB != to.DB:
		return errs.New(errs.Invalid, "db_name cannot be changed: make another role")
	case r.UnderWay() && (!same || r.Makes() != (len(to.Creation) > 0)):
		return errs.Newf(errs.Invalid, "turn %d is under way (%s): usernames, overlap, and whether there are creation_statements, can be changed once it has ended by retire", r.Turn, r.Step)
	case r.Live != nil && !slices.Contains(to.Usernames, r.Live.Username):
		return errs.Newf(errs.Invalid, "usernames must keep %q, who is in use: bring another user in with the next turn", r.Live.Username)
	}
	r.Settings = to
	return nil
}
