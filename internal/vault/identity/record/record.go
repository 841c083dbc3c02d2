package record

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Entity is somebody, however they log in. What a View gives is shared: Clone
// it to change it.
type Entity struct {
	ID       string            `json:"id"` // UUID
	Name     string            `json:"name"`
	Policies []string          `json:"policies,omitempty"` // normalised, sorted
	Metadata map[string]string `json:"metadata,omitempty"`
	Disabled bool              `json:"disabled,omitempty"` // its tokens are refused and it cannot log in
	Aliases  []Alias           `json:"aliases,omitempty"`
	Groups   []string          `json:"groups,omitempty"`   // IDs of internal groups it was put in, sorted
	External []External        `json:"external,omitempty"` // groups that auth methods put it in, sorted by accessor
	Merged   []string          `json:"merged,omitempty"`   // IDs of entities that became this one
	Created  time.Time         `json:"created"`
	Updated  time.Time         `json:"updated"` // by a person or an auth method; not that it was used
	Seen     int64             `json:"seen,omitempty"`
	Until    int64             `json:"until,omitempty"`
	// Automatic entities were made by a login, and no person has added to them.
	Automatic bool `json:"automatic,omitempty"`
}

// Seen is the day, counted from 1970 in UTC, of the last login or renewal, and
// Until the day by whose beginning every token known to have been given has ended.

// Alias is the name of an entity in one auth mount.
type Alias struct {
	ID         string            `json:"id"`       // UUID
	Accessor   string            `json:"accessor"` // of the mount
	Name       string            `json:"name"`
	Metadata   map[string]string `json:"metadata,omitempty"` // what the auth method says
	Custom     map[string]string `json:"custom,omitempty"`   // what people say
	Created    time.Time         `json:"created"`
	Updated    time.Time         `json:"updated"`
	MergedFrom []string          `json:"merged_from,omitempty"` // IDs of the entities it was of before
	Ephemeral  bool              `json:"ephemeral,omitempty"`   // once gone it does not come back under this name
	Origin     string            `json:"origin,omitempty"`      // what it is the present incarnation of; "" = nothing
}

// External is which groups the auth method behind a mount puts an entity in.
type External struct {
	Accessor string   `json:"accessor"`
	Groups   []string `json:"groups"` // IDs, sorted
}

// The types of groups.
const (
	Internal = "internal" // members are set by people
	Outside  = "external" // members are those whom an auth method says are in it
)

// Group is a set of entities and other groups. Members that are entities are
// rows of their own.
type Group struct {
	ID       string            `json:"id"` // UUID
	Name     string            `json:"name"`
	Type     string            `json:"type"` // Internal or Outside
	Policies []string          `json:"policies,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Groups   []string          `json:"groups,omitempty"`  // IDs of members that are groups, sorted
	Parents  []string          `json:"parents,omitempty"` // IDs of groups that this is a member of, sorted
	Alias    *Alias            `json:"alias,omitempty"`   // of external groups; nil = none yet
	Created  time.Time         `json:"created"`
	Updated  time.Time         `json:"updated"`
	Changes  uint64            `json:"changes,omitempty"` // how often it was changed
}

// Config is how a namespace keeps its identities.
type Config struct {
	// Retention is how many seconds an automatic entity of which every alias is
	// ephemeral is kept after its last token ended; 0 = for ever.
	Retention int64 `json:"retention"`
}

// DefaultRetention holds until a Config is written.
const DefaultRetention = 30 * 24 * time.Hour

// Reference is what index rows hold.
type Reference struct {
	Owner string `json:"o"`           // ID of the entity or group
	Alias string `json:"a,omitempty"` // ID of the alias
	Name  string `json:"n,omitempty"` // as it was written, in indexes of names
}

// Clone returns a copy whose lists and maps can be replaced, not changed; its
// aliases can be changed in place.
func (e *Entity) Clone() *Entity {
	c := *e
	c.Aliases, c.External = slices.Clone(e.Aliases), slices.Clone(e.External)
	return &c
}

// Alias returns the alias on a mount, nil if there is none.
func (e *Entity) Alias(accessor string) *Alias {
	for i := range e.Aliases {
		if e.Aliases[i].Accessor == accessor {
			return &e.Aliases[i]
		}
	}
	return nil
}

// AliasByID returns the alias with an ID, nil if there is none.
func (e *Entity) AliasByID(id string) *Alias {
	for i := range e.Aliases {
		if e.Aliases[i].ID == id {
			return &e.Aliases[i]
		}
	}
	return nil
}

// DirectGroups returns the IDs of the groups it is itself a member of.
func (e *Entity) DirectGroups() []string {
	if len(e.External) == 0 {
		return e.Groups
	}
	all := slices.Clone(e.Groups)
	for _, x := range e.External {
		all = append(all, x.Groups...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Collectable reports whether nothing would be lost with e: a login made it,
// nobody added to it.
func (e *Entity) Collectable() bool {
	return e.Automatic && !e.Disabled && len(e.Policies)+len(e.Metadata)+len(e.Groups)+len(e.Merged) == 0 &&
		!slices.ContainsFunc(e.Aliases, func(a Alias) bool { return len(a.Custom) > 0 })
}

// Ephemeral reports whether every alias is.
func (e *Entity) Ephemeral() bool {
	return !slices.ContainsFunc(e.Aliases, func(a Alias) bool { return !a.Ephemeral })
}

// Clone is Clone of an entity, for groups.
func (g *Group) Clone() *Group {
	c := *g
	if g.Alias != nil {
		a := *g.Alias
		c.Alias = &a
	}
	return &c
}

// Format is the byte that rows begin with, the version of what follows: JSON.
// A later version may only be read by later code.
const Format = 1

// maxRow bounds an entity or group as stored: it is read with every request.
const maxRow = 256 << 10

// Encode returns v as a row holds it; what names it in errors. Kind TooLarge.
func Encode(what string, v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding %s: %w", what, err)
	}
	if len(raw) >= maxRow {
		return nil, errs.Newf(errs.TooLarge, "%s of %d bytes is over the limit of %d: give it fewer aliases, groups, policies or metadata", what, len(raw), maxRow)
	}
	return append([]byte{Format}, raw...), nil
}

// Decode is the inverse of Encode. Its errors never quote the input.
func Decode[T any](what string, b []byte) (*T, error) {
	if len(b) == 0 || b[0] != Format {
		return nil, errs.Newf(errs.Internal, "the record of %s is of a version this program does not know: was it written by a newer one?", what)
	}
	v := new(T)
	if json.Unmarshal(b[1:], v) != nil {
		return nil, errs.Newf(errs.Internal, "the record of %s is damaged", what)
	}
	return v, nil
}

// DecodeEntity is Decode of an entity.
func DecodeEntity(b []byte) (*Entity, error) {
	e, err := Decode[Entity]("an entity", b)
	if err == nil && (e.ID == "" || e.Name == "") {
		err = errs.New(errs.Internal, "the record of an entity has no id or name")
	}
	return e, err
}

// DecodeGroup is Decode of a group.
func DecodeGroup(b []byte) (*Group, error) {
	g, err := Decode[Group]("a group", b)
	if err == nil && (g.ID == "" || g.Name == "") {
		err = errs.New(errs.Internal, "the record of a group has no id or name")
	}
	return g, err
}

// DecodeReference is Decode of a reference.
func DecodeReference(b []byte) (Reference, error) {
	r, err := Decode[Reference]("a reference", b)
	if err != nil {
		return Reference{}, err
	}
	return *r, nil
}
