package identity

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/identity/record"
	"github.com/strongkeep/strongkeep/internal/vault/identity/subject"
)

// Login is what an auth method says of somebody who proved who they are.
type Login struct {
	Accessor string // of the method's mount
	Name     string
	Metadata map[string]string
	// Ephemeral: once this is gone it does not come back under this name, as the
	// UID of a ServiceAccount. Origin is then what it is the present incarnation
	// of: whoever bore the same origin before is superseded, its entity collected.
	Ephemeral bool
	Origin    string
	Groups    []string // the names of external groups, as the method knows them
	// KnownOnly logins leave nothing behind: an entity that is there is theirs as
	// it is, and none is made.
	KnownOnly bool
}

// Bounds of a login.
const (
	fewGroups   = 32  // up to which names are looked up one by one
	maxExternal = 150 // groups of one mount that an entity is in
)

// Session is a login under way: Finish stores what it changed.
type Session struct {
	*Subject
	edit    Edit
	old     *Entity // as stored; nil: made by this login
	entity  *Entity
	changed bool
	silent  bool // stores nothing
}

// ID returns the entity's ID; a nil Session has none.
func (s *Session) ID() string {
	if s == nil {
		return ""
	}
	return s.EntityID
}

// Names returns a token's policies with those of the entity, if there is one.
func (s *Session) Names(token []string) []string {
	if s == nil {
		return token
	}
	return s.With(token)
}

// Own returns the policies of the entity, if there is one.
func (s *Session) Own() []string {
	if s == nil {
		return nil
	}
	return s.Subject.Own()
}

// Login finds the entity behind an alias, or makes it, within the transaction
// of the login. If nothing of it changed, which is the rule, it writes nothing.
// Kinds: Denied (the entity is disabled), Invalid (the name cannot be one).
func (m *Manager) Login(ctx context.Context, tx Tx, ns string, l Login) (*Session, error) {
	if err := record.CheckName("name of the identity that logs in", l.Name, record.MaxAliasName); err != nil {
		return nil, err
	}
	s := &Session{edit: m.Edit(tx, ns)}
	var err error
	if s.old, err = s.edit.EntityOf(ctx, l.Accessor, l.Name); err != nil {
		return nil, err
	}
	if l.KnownOnly {
		return s.known(ctx)
	}
	if s.old == nil {
		err = s.make(ctx, l)
	} else {
		err = s.compare(ctx, l)
	}
	if err != nil {
		return nil, err
	}
	if err := s.join(ctx, l.Accessor, l.Groups); err != nil {
		return nil, err
	}
	return s, s.resolve(ctx)
}

// known is a login that leaves nothing behind; nil if there is no entity.
func (s *Session) known(ctx context.Context) (*Session, error) {
	if s.old == nil {
		return nil, nil
	}
	if s.old.Disabled {
		return nil, errs.New(errs.Denied, "permission denied")
	}
	s.entity, s.silent = s.old, true
	return s, s.resolve(ctx)
}

// resolve sets Subject to what the entity is with this login's changes.
func (s *Session) resolve(ctx context.Context) (err error) {
	if !s.changed {
		s.Subject, err = s.edit.m.Subject(ctx, s.edit.tx, s.edit.Namespace(), s.entity.ID)
		if err == nil && s.Subject == nil {
			err = errs.New(errs.Internal, "an alias refers to an entity that does not exist")
		}
		return err
	}
	s.Subject, err = subject.Of(ctx, s.edit.View, s.entity)
	return err
}

// make prepares the entity of an alias that nobody has, and supersedes what was
// of the same origin before.
func (s *Session) make(ctx context.Context, l Login) error {
	x := s.edit
	if l.Origin != "" {
		if err := x.supersede(ctx, l.Accessor, l.Origin); err != nil {
			return err
		}
	}
	e, err := x.NewEntity()
	if err != nil {
		return err
	}
	id, err := x.m.NewID()
	if err != nil {
		return err
	}
	e.Automatic = true
	e.Aliases = []Alias{{
		ID: id, Accessor: l.Accessor, Name: l.Name, Metadata: l.Metadata,
		Created: e.Created, Updated: e.Created, Ephemeral: l.Ephemeral, Origin: l.Origin,
	}}
	s.entity, s.changed = e, true
	return x.leadTo(e, &e.Aliases[0])
}

// supersede takes away the alias that stood for an origin.
func (x Edit) supersede(ctx context.Context, accessor, origin string) error {
	ref, err := x.Refer(ctx, x.OriginKey(accessor, origin))
	if err != nil || ref.Owner == "" {
		return err
	}
	old, err := x.Entity(ctx, ref.Owner)
	if err != nil || old == nil {
		return err
	}
	_, err = x.RemoveAlias(ctx, old, ref.Alias, true)
	return err
}

// compare notes what the method says anew of an alias that is known.
func (s *Session) compare(ctx context.Context, l Login) error {
	s.entity = s.old
	if s.old.Disabled {
		return errs.New(errs.Denied, "permission denied")
	}
	a := s.old.Alias(l.Accessor)
	if a == nil || record.Fold(a.Name) != record.Fold(l.Name) {
		return errs.New(errs.Internal, "an alias refers to an entity that does not have it")
	}
	if maps.Equal(a.Metadata, l.Metadata) && a.Ephemeral == l.Ephemeral && a.Origin == l.Origin {
		return nil
	}
	s.modify()
	a = s.entity.Alias(l.Accessor)
	moved := a.Origin != l.Origin && l.Origin != ""
	if moved {
		if err := s.edit.supersede(ctx, l.Accessor, l.Origin); err != nil {
			return err
		}
	}
	a.Metadata, a.Ephemeral, a.Origin, a.Updated = l.Metadata, l.Ephemeral, l.Origin, s.entity.Updated
	if moved {
		return s.edit.leadTo(s.entity, a)
	}
	return nil
}

// modify makes s.entity a copy that may be changed.
func (s *Session) modify() {
	if !s.changed {
		s.entity, s.changed = s.entity.Clone(), true
		s.entity.Updated = s.edit.m.now().UTC()
	}
}

// join makes the entity a member of the external groups that its method names,
// and no other of that mount.
func (s *Session) join(ctx context.Context, accessor string, names []string) error {
	var had []string
	at := slices.IndexFunc(s.entity.External, func(o External) bool { return o.Accessor == accessor })
	if at >= 0 {
		had = s.entity.External[at].Groups
	}
	want, err := s.edit.external(ctx, accessor, names)
	if err != nil || slices.Equal(had, want) {
		return err
	}
	s.modify()
	s.entity.External = slices.DeleteFunc(s.entity.External, func(o External) bool { return o.Accessor == accessor })
	if len(want) > 0 {
		s.entity.External = append(s.entity.External, External{Accessor: accessor, Groups: want})
		slices.SortFunc(s.entity.External, func(a, b External) int {
			if a.Accessor < b.Accessor {
				return -1
			}
			return 1
		})
	}
	now := s.entity.DirectGroups()
	for _, group := range had {
		if !slices.Contains(now, group) {
			s.edit.tx.Delete(s.edit.MemberFolder(group) + s.entity.ID)
		}
	}
	for _, group := range want {
		if !slices.Contains(had, group) {
			s.edit.tx.Put(s.edit.MemberFolder(group)+s.entity.ID, []byte{record.Format})
		}
	}
	return nil
}

// external returns the IDs of the groups that a mount knows under names, sorted.
func (x Edit) external(ctx context.Context, accessor string, names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, nil
	}
	folder := x.Folder() + "group-alias/" + accessor + "/"
	hashes := make([]string, len(names))
	for i, name := range names {
		hashes[i] = record.Hash(name)
	}
	if len(names) > fewGroups {
		// Most names of a large directory mean nothing here: see which do.
		known, err := x.tx.List(ctx, folder, "", 0)
		if err != nil {
			return nil, err
		}
		is := make(map[string]bool, len(known))
		for _, h := range known {
			is[h] = true
		}
		hashes = slices.DeleteFunc(hashes, func(h string) bool { return !is[h] })
	}
	var ids []string
	for _, h := range hashes {
		ref, err := x.Refer(ctx, folder+h)
		if err != nil {
			return nil, err
		}
		if ref.Owner != "" {
			ids = append(ids, ref.Owner)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) > maxExternal {
		return nil, errs.Newf(errs.Invalid, "the identity that logs in is in %d external groups of this mount; the limit is %d: delete the aliases of some", len(ids), maxExternal)
	}
	return ids, nil
}

// Finish notes that the entity was used, and that a token of it ends at until,
// once a day, and stores what the login changed.
func (s *Session) Finish(ctx context.Context, until time.Time) error {
	if s == nil || s.silent {
		return nil
	}
	today, last := day(s.edit.m.now()), dayAfter(until)
	if s.entity.Seen != today || s.entity.Until < last {
		if !s.changed {
			s.entity, s.changed = s.entity.Clone(), true // no change that Updated tells of
		}
		s.entity.Seen, s.entity.Until = today, max(s.entity.Until, last)
	}
	switch {
	case !s.changed:
		return nil
	case s.old != nil:
		return s.edit.saveEntity(s.entity)
	}
	if err := s.edit.PutEntity(ctx, nil, s.entity); err != nil || !s.entity.Ephemeral() {
		return err
	}
	return s.edit.schedule(ctx, s.entity)
}

// Renewed is what is known when a token is renewed.
type Renewed struct {
	EntityID string
	Accessor string   // of the mount that gave the token
	Groups   []string // the external groups that its method says it is in now; nil = it says nothing
}

// Renewal is a login under way that no name was given for: a token of the
// entity is renewed. nil if there is no such entity. Kind Denied: it is disabled.
func (m *Manager) Renewal(ctx context.Context, tx Tx, ns string, r Renewed) (*Session, error) {
	who, err := m.Subject(ctx, tx, ns, r.EntityID)
	if err != nil || who == nil {
		return nil, err
	}
	if who.Disabled {
		return nil, errs.New(errs.Denied, "permission denied")
	}
	s := &Session{edit: m.Edit(tx, ns)}
	if s.old, err = s.edit.Entity(ctx, who.EntityID); err != nil || s.old == nil {
		return nil, err
	}
	s.entity = s.old
	if r.Groups != nil && s.old.Alias(r.Accessor) != nil {
		if err := s.join(ctx, r.Accessor, r.Groups); err != nil {
			return nil, err
		}
	}
	return s, s.resolve(ctx)
}
