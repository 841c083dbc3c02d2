package token

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/expiry"
	"github.com/strongkeep/strongkeep/internal/vault/token/grant"
)

// maxEntry bounds an entry as stored: what a token carries is read with every request.
const maxEntry = 64 << 10

// Spec is the token to be made.
type Spec struct {
	// Creator is the token that asks; nil for logins. Only a Creator with the
	// root policy can make a root token.
	Creator *Entry
	Orphan  bool // no parent although there is a Creator

	Namespace   string        // ID of the one it is to belong to; "" = the root
	ID          redact.Secret // wanted by the client; empty = random
	Type        Type          // 0 = Service
	Policies    []string      // final, as grant.Request.Decide or grant.Login gave them
	Path        string
	MountID     string
	DisplayName string
	Meta        map[string]string
	Role        string
	EntityID    string

	TTL            time.Duration // 0 = Default; for root tokens: never ends
	Period         time.Duration
	MaxTTL         time.Duration
	ExplicitMaxTTL time.Duration
	Default, Max   time.Duration // of the mount; both must be set

	NumUses    int // 0 = unlimited
	Renewable  bool
	BoundCIDRs []netip.Prefix

	wrapping bool // WrappingSpec made it, and it may have the policy of wrapping tokens
}

// Created is a new token.
type Created struct {
	Entry    *Entry
	Token    redact.Secret // what the client presents; nothing else ever holds it
	Warnings []string
}

// Create makes a token. A service token is four or five changes of tx: entry,
// accessor, due time and, below a parent, a mark and once the parent's note
// that it has children. A batch token is none. Kinds: Invalid, TooLarge,
// Unauthenticated (the creator is not valid any more).
func (m *Manager) Create(ctx context.Context, tx Tx, s Spec) (Created, error) {
	e, warnings, err := m.plan(s)
	if err != nil {
		return Created{}, err
	}
	if err := m.attach(ctx, tx, s, e); err != nil {
		return Created{}, err
	}
	if e.Type == Batch {
		token, err := m.sealBatch(e)
		if err != nil {
			return Created{}, err
		}
		e.Key = m.TokenKey(token.RevealString())
		return Created{e, token, warnings}, nil
	}
	token, err := m.name(ctx, tx, s.ID, e)
	if err != nil {
		return Created{}, err
	}
	if err := m.add(tx, e); err != nil {
		return Created{}, err
	}
	return Created{e, token, warnings}, nil
}

// RootSpec is the first token: root, without end, an orphan. id is empty for a
// random token; one of the caller's choice is for development.
func RootSpec(id redact.Secret) Spec {
	return Spec{
		Creator: &Entry{Type: Service, Policies: []string{grant.Root}}, Orphan: true, ID: id,
		Policies: []string{grant.Root}, Path: "auth/token/root", DisplayName: "root",
	}
}

// WrappingSpec is a token of one use that ends after ttl whatever happens, and
// may only give up the answer that is kept for it. path is the request's.
func WrappingSpec(path string, ttl, longest time.Duration) Spec {
	return Spec{
		Orphan: true, Policies: []string{grant.Wrapping}, Path: path, NumUses: 1, wrapping: true,
		TTL: ttl, ExplicitMaxTTL: ttl, Default: longest, Max: longest,
	}
}

// plan checks s and fills in everything that does not need the store.
func (m *Manager) plan(s Spec) (*Entry, []string, error) {
	now := m.now().UTC()
	e := &Entry{
		Namespace: s.Namespace, Type: s.Type, Policies: slices.Clone(s.Policies), Path: s.Path, MountID: s.MountID,
		DisplayName: s.DisplayName, Meta: maps.Clone(s.Meta), Role: s.Role, EntityID: s.EntityID,
		Created: now, Period: s.Period, MaxTTL: s.MaxTTL, ExplicitMaxTTL: s.ExplicitMaxTTL,
		NumUses: s.NumUses, Renewable: s.Renewable, BoundCIDRs: slices.Clone(s.BoundCIDRs),
		Orphan: s.Orphan || s.Creator == nil,
	}
	if e.Type == 0 {
		e.Type = Service
	}
	if err := s.check(e); err != nil {
		return nil, nil, err
	}
	if e.Root() && s.TTL == 0 && s.Period == 0 && s.ExplicitMaxTTL == 0 {
		if !s.Creator.Expires.IsZero() {
			return nil, nil, errs.New(errs.Invalid, "expiring root tokens cannot create non-expiring root tokens")
		}
		e.Renewable = false
		return e, nil, nil
	}
	ttl, warnings, err := Lifetime{
		Now: now, Created: now, TTL: s.TTL, Period: s.Period, MaxTTL: s.MaxTTL,
		ExplicitMaxTTL: s.ExplicitMaxTTL, Default: s.Default, Max: s.Max,
	}.Resolve()
	if err != nil {
		return nil, nil, err
	}
	e.TTL, e.Expires = ttl, now.Add(ttl)
	return e, warnings, nil
}

func (s *Spec) check(e *Entry) error { //nolint:cyclop // a flat list of conditions
	if !slices.Equal(e.Policies, grant.Normalize(e.Policies)) {
		return errs.New(errs.Internal, "the policies of a new token were not decided by the rules")
	}
	if err := grant.Assignable(e.Policies); err != nil && !s.wrapping {
		return err
	}
	switch {
	case e.Namespace != "" && slices.Contains(e.Policies, grant.Root):
		return errs.Newf(errs.Invalid, "the policy %q is one of the root namespace alone", grant.Root)
	case min(s.TTL, s.Period, s.MaxTTL, s.ExplicitMaxTTL) < 0:
		return errs.New(errs.Invalid, "ttl, period and max ttl cannot be negative")
	case s.NumUses < 0:
		return errs.New(errs.Invalid, "number of uses cannot be negative")
	case e.Root() && (s.Creator == nil || !s.Creator.Root()):
		return errs.New(errs.Invalid, "root tokens may not be created without parent token being root")
	case s.Creator != nil && s.Creator.Type == Batch:
		return errs.New(errs.Invalid, "batch tokens cannot create more tokens")
	case e.Type == Batch:
		e.Renewable = false
		return s.checkBatch(e)
	case e.Type != Service:
		return errs.New(errs.Internal, "unknown type of token")
	}
	return nil
}

// checkBatch refuses what would need a record in the store.
func (s *Spec) checkBatch(e *Entry) error {
	switch {
	case e.Root():
		return errs.New(errs.Invalid, "batch tokens cannot be root tokens")
	case s.NumUses != 0:
		return errs.New(errs.Invalid, "batch tokens cannot have a limited number of uses")
	case s.Period != 0:
		return errs.New(errs.Invalid, "batch tokens cannot be periodic")
	case s.ExplicitMaxTTL != 0:
		return errs.New(errs.Invalid, "batch tokens cannot have an explicit max TTL")
	case !s.ID.Empty():
		return errs.New(errs.Invalid, "batch tokens cannot have an id of your choice")
	}
	return nil
}

// attach hangs e below its parent. Reading the parent in tx guards it: a parent
// revoked meanwhile fails the commit. That a parent notes its first child lets
// a revocation know, without looking, whether there is something to sweep.
func (m *Manager) attach(ctx context.Context, tx Tx, s Spec, e *Entry) error {
	if e.Orphan {
		return nil
	}
	parent, err := m.Get(ctx, tx, s.Creator.Key)
	if err != nil {
		return err
	}
	if parent.depth >= maxDepth {
		return errs.Newf(errs.Invalid, "there are %d tokens above this one already: create an orphan token instead", maxDepth)
	}
	e.Parent, e.parentAccessor, e.depth = parent.Key, parent.Accessor, parent.depth+1
	if e.Type == Batch || parent.hasChildren {
		return nil
	}
	noted := *parent
	noted.hasChildren = true
	tx.Put(idPrefix+noted.Key, encodeEntry(&noted))
	return nil
}

// name gives e its token, key and accessor.
func (m *Manager) name(ctx context.Context, tx Tx, id redact.Secret, e *Entry) (redact.Secret, error) {
	accessor, err := appendBase62(nil, m.random, accessorLen)
	if err != nil {
		return redact.Secret{}, err
	}
	e.Accessor = string(e.suffixed(accessor))
	if id.Empty() {
		token, err := appendBase62([]byte(servicePrefix), m.random, serviceRandom)
		if err != nil {
			return redact.Secret{}, err
		}
		token = e.suffixed(token)
		e.Key = m.TokenKey(string(token))
		return redact.New(token), nil
	}
	if err := checkChosen(id.RevealString()); err != nil {
		return redact.Secret{}, err
	}
	token := e.suffixed(slices.Clone(id.Reveal()))
	e.Key = m.TokenKey(string(token))
	return redact.New(token), m.free(ctx, tx, e.Key)
}

// suffixed appends what tells a token of the entry's namespace from others.
func (e *Entry) suffixed(b []byte) []byte {
	if e.Namespace == "" {
		return b
	}
	return append(append(b, '.'), e.Namespace...)
}

// checkChosen refuses a token of the client's choice that is not well formed.
func checkChosen(id string) error {
	if strings.ContainsFunc(id, func(c rune) bool { return c == '.' || c <= ' ' || c > '~' }) || len(id) > 256 {
		return errs.New(errs.Invalid, "custom token ID cannot have the '.' character, spaces or anything but ASCII, nor more than 256 characters")
	}
	return nil
}

// free makes sure that a chosen token is not in use, nor was by a token whose
// children are still being swept up: they would come back to life, or the new
// token's children go with them.
func (m *Manager) free(ctx context.Context, tx Tx, key string) error {
	taken, err := tx.Get(ctx, idPrefix+key)
	if err != nil {
		return err
	}
	left, err := tx.List(ctx, childPrefix+key+"/", "", 1)
	if err != nil {
		return err
	}
	if taken.Exists() || len(left) > 0 {
		return errs.New(errs.Invalid, "cannot create a token with a duplicate ID")
	}
	return nil
}

// add writes e and what leads to it.
func (m *Manager) add(tx Tx, e *Entry) error {
	value := encodeEntry(e)
	if len(value) > maxEntry {
		return errs.Newf(errs.TooLarge, "a token with %d bytes of policies and metadata is over the limit of %d", len(value), maxEntry)
	}
	tx.Put(idPrefix+e.Key, value)
	tx.Put(m.accessorKey(e.Accessor), encodeAccessor(e.Accessor, e.Key))
	if e.Parent != "" {
		tx.Put(childPrefix+e.Parent+"/"+e.Key, []byte{entryVersion})
	}
	if !e.Expires.IsZero() {
		expiry.Add(tx, e.due())
	}
	return nil
}

func (e *Entry) due() expiry.Ref { return expiry.Ref{Kind: kindExpire, ID: e.Key, Due: e.Expires} }
