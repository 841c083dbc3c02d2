package alternating

import (
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver/statement"
)

// What of roles, turns and sessions is on the wire.

// maxHolder bounds the name of a holder, which is namespace/name in a cluster.
const maxHolder = 512

// CheckHolder is an error of kind Invalid if nobody can be called so.
func CheckHolder(holder string) error {
	if len(holder) > maxHolder || strings.ContainsFunc(holder, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return errs.Newf(errs.Invalid, "holder must be a name such as namespace/name, without blanks, of at most %d bytes", maxHolder)
	}
	return nil
}

// Decode returns s with what a request has; the rest, and the policy, is as it was.
func (s Settings) Decode(req *engine.Request) (Settings, error) {
	d := req.Decode()
	s.DB = d.String("db_name", s.DB)
	if d.Has("usernames") {
		s.Usernames = d.Strings("usernames")
	}
	if s.Overlap == "" {
		s.Overlap = Users
	}
	s.Overlap = Overlap(d.String("overlap", string(s.Overlap)))
	if err := d.Err(); err != nil {
		return s, err
	}
	for _, f := range []struct {
		name string
		to   *[]string
	}{{"creation_statements", &s.Creation}, {"revocation_statements", &s.Revocation}, {"rotation_statements", &s.Statements}} {
		var err error
		if *f.to, err = statement.Decode(req, *f.to, f.name); err != nil {
			return s, err
		}
	}
	return s, nil
}

// Show adds the settings and the holder.
func (r *Role) Show(o engine.Builder) engine.Builder {
	return o.Strs("creation_statements", r.Creation).
		Str("db_name", r.DB).
		Str("holder", r.Holder).
		Str("overlap", string(r.Overlap)).
		Strs("revocation_statements", r.Revocation).
		Strs("rotation_statements", r.Statements).
		Strs("usernames", r.Usernames)
}

// ShowState adds where the turn is, and no password.
func (r *Role) ShowState(o engine.Builder) engine.Builder {
	newer, older := r.Of()
	o = o.Int("turn", r.Turn).
		Str("step", string(r.Step)).
		Str("holder", r.Holder).
		Int("fence", r.Fence).
		Bool("under_way", r.UnderWay()).
		Time("since", r.Since).
		Str("new_username", newer).
		Str("old_username", older)
	o = o.Str("published", r.ShownSide())
	if shown := r.Shown(); shown != nil {
		o = o.Int("version", shown.Version)
	} else {
		o = o.Null("version")
	}
	o = o.Time("last_rotation", r.Published)
	if r.Error != "" {
		o = o.Str("last_error", r.Error)
	}
	return o
}

// DecodeAct reads what a request asks for.
func DecodeAct(req *engine.Request, verb Verb) (Act, Options, error) {
	d := req.Decode()
	a := Act{Verb: verb, Turn: d.Int("turn", 0), Side: Side(d.String("side", "")), Holder: d.String("holder", ""), Fence: d.Int("fence", 0), Now: req.Time}
	o := Options{KeepSessions: !d.Bool("terminate_sessions", true)}
	if err := d.Err(); err != nil {
		return a, o, err
	}
	if sides := verb == Publish || verb == Retire; sides && a.Side != NewSide && a.Side != OldSide {
		return a, o, errs.New(errs.Invalid, `side must be "new" or "old"`)
	}
	return a, o, CheckHolder(a.Holder)
}

// Show adds both sides.
func (s *Sides) Show(o engine.Builder) engine.Builder {
	return o.Obj("new", s.New.show()).Obj("old", s.Old.show()).Str("partial", s.Partial)
}

func (s *Seen) show() engine.Builder {
	list := []byte("[")
	for i, one := range s.Sessions {
		if i > 0 {
			list = append(list, ',')
		}
		o := engine.NewObject().Str("address", one.Address).Str("client", one.Client)
		if one.Since.IsZero() {
			o = o.Null("since")
		} else {
			o = o.Time("since", one.Since.UTC().Truncate(time.Second))
		}
		list = append(list, o.Value()...)
	}
	return engine.NewObject().Str("user", s.User).Raw("sessions", append(list, ']'))
}
