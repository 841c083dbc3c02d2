package policy

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Where policies lie in storage, one key per policy:
//
//	policy/<name>                     → 0x01 | the text as it was written
//	ns/<namespace ID>/policy/<name>     likewise, outside the root namespace
//
// The byte in front is the version of this format.
const (
	folder = "policy/"
	format = 1
)

// folderOf returns where the policies of a namespace lie: in its engine.Namespace.Folder.
func folderOf(ns Namespace) string {
	if ns.Root() {
		return folder
	}
	return "ns/" + ns.ID + "/" + folder
}

// unwritten is the revision of what a transaction wrote and has not committed
// (see store.Txn.Get). All such entries share it, so nothing may be kept by it.
const unwritten = ^store.Revision(0)

// Reader reads storage: a store, a transaction, an engine's Tx.
type Reader interface {
	Get(ctx context.Context, key string) (store.Entry, error)
	List(ctx context.Context, folder, after string, limit int) ([]string, error)
}

// Writer changes storage within a transaction.
type Writer interface {
	Put(key string, value []byte)
	Delete(key string)
}

// Config of a Book.
type Config struct {
	ACLs int // how many sets of policies to keep compiled; 0 = 1024
}

// Book is the policies of all namespaces and the ACLs compiled from them. All
// readers given to one Book must show the same storage folder. It is used by
// any number of goroutines at once and needs no closing.
//
// An ACL is found by the names and valid for the revisions of their entries, so
// that a change of a policy holds from the next request whose reader shows it.
type Book struct {
	seed     maphash.Seed
	wrapping *Policy
	root     *ACL
	clock    atomic.Uint64 // counts sets that were added; what "recently used" is measured by
	buckets  []bucket      // a power of two
	personal personal
}

// bucket holds the sets whose names hash to it. Neither finding nor replacing
// one takes a lock; two goroutines that add the same set at once waste one.
type bucket [4]atomic.Pointer[set]

// NewBook returns an empty Book; it reads nothing.
func NewBook(cfg Config) *Book {
	if cfg.ACLs <= 0 {
		cfg.ACLs = 1024
	}
	n := 1
	for n*len(bucket{}) < cfg.ACLs {
		n *= 2
	}
	return &Book{seed: maphash.MakeSeed(), wrapping: Wrapping(), root: Compile(Root()), buckets: make([]bucket, n)}
}

// Put checks text and writes it as the policy name of ns, in place of what was
// there. It returns the policy under its normalised name. Kinds: those of Parse.
func (b *Book) Put(tx Writer, ns Namespace, name, text string) (*Policy, error) {
	p, err := Parse(name, text)
	if err != nil {
		return nil, err
	}
	tx.Put(folderOf(ns)+p.name, append([]byte{format}, text...))
	return p, nil
}

// Delete removes the policy if it is there. Kind Invalid: it may not be deleted.
func (b *Book) Delete(tx Writer, ns Namespace, name string) error {
	name, err := Deletable(name)
	if err == nil {
		tx.Delete(folderOf(ns) + name)
	}
	return err
}

// Get returns a policy, the built-in ones included. Kinds: NotExist, Invalid (the name).
func (b *Book) Get(ctx context.Context, r Reader, ns Namespace, name string) (*Policy, error) {
	name, err := NormalizeName(name)
	switch {
	case err != nil:
		return nil, err
	case name == RootName && ns.Root():
		return Root(), nil
	case name == WrappingName:
		return b.wrapping, nil
	}
	e, err := r.Get(ctx, folderOf(ns)+name)
	if err != nil {
		return nil, fmt.Errorf("reading policy %q: %w", name, err)
	}
	if !e.Exists() {
		return nil, errs.Newf(errs.NotExist, "no policy named %q", name)
	}
	return stored(name, e)
}

// List returns the names of the stored policies of ns, sorted. The built-in ones are
// not among them.
func (b *Book) List(ctx context.Context, r Reader, ns Namespace) ([]string, error) {
	names, err := list(ctx, r, folderOf(ns), "", nil)
	if err != nil {
		return nil, fmt.Errorf("listing policies: %w", err)
	}
	slices.Sort(names)
	return names, nil
}

// list appends the names that begin with below, which is "" or ends in "/". It
// recurses as deep as names have slashes, so at most MaxName/2.
func list(ctx context.Context, r Reader, folder, below string, names []string) ([]string, error) {
	found, err := r.List(ctx, folder+below, "", 0)
	if err != nil {
		return nil, err
	}
	for _, name := range found {
		if !strings.HasSuffix(name, "/") {
			names = append(names, below+name)
			continue
		}
		if names, err = list(ctx, r, folder, below+name, names); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// stored returns the policy in an entry that exists. One that does not parse
// is an Internal error and not a missing policy: it may hold what denies.
func stored(name string, e store.Entry) (*Policy, error) {
	p, err := store.Decode(e, func(raw []byte) (*Policy, error) {
		if len(raw) == 0 || raw[0] != format {
			return nil, errs.New(errs.Internal, "the entry is of a format that this version does not know")
		}
		return Parse(name, string(raw[1:]))
	})
	if err != nil {
		return nil, errs.Newf(errs.Internal, "reading stored policy %q, write it anew to repair it: %w", name, err)
	}
	return p, nil
}

// ACLFor returns the ACL of the subject's policies, and which of their names do
// not exist. Order, case and repetition of names do not matter; names that are
// sorted, normalised and free of repetition, as a token has them, cost no
// allocation once the ACL is compiled. Do not change missing.
//
// Kinds: Invalid (root together with other names, which is never meant),
// Internal (a stored policy is damaged: nothing is allowed), those of the reader.
func (b *Book) ACLFor(ctx context.Context, r Reader, who Subject) (acl *ACL, missing []string, err error) {
	names := normalSet(who.Names)
	if who.Namespace.Root() && slices.Contains(names, RootName) {
		if len(names) > 1 {
			return nil, nil, errs.Newf(errs.Invalid, "policy %q cannot be combined with others", RootName)
		}
		return b.root, nil, nil
	}
	c, err := b.find(who.Namespace, names).get(ctx, r, b.wrapping)
	if err != nil {
		return nil, nil, err
	}
	if c.policies != nil && who.Identity != nil {
		return b.personalFor(c, who), c.missing, nil
	}
	return c.acl, c.missing, nil
}

// normalSet returns names normalised, sorted and without repetition; names
// itself if it is so already. One that cannot be a name is kept as it is: it
// will be missing.
func normalSet(names []string) []string {
	ordered := true
	for i, name := range names {
		ordered = ordered && clean(name) && (i == 0 || names[i-1] < name)
	}
	if ordered {
		return names
	}
	set := make([]string, len(names))
	for i, name := range names {
		set[i] = name
		if normal, err := NormalizeName(name); err == nil {
			set[i] = normal
		}
	}
	slices.Sort(set)
	return slices.Compact(set)
}

// find returns the set of names of ns, adding it in place of the least recently used
// one of its bucket. names must be a normalSet.
func (b *Book) find(ns Namespace, names []string) *set {
	var h maphash.Hash
	h.SetSeed(b.seed)
	if ns.Root() {
		ns = Namespace{} // under one of its names
	} else {
		_, _ = h.WriteString(ns.ID)
		_ = h.WriteByte('/')
	}
	for _, name := range names {
		_, _ = h.WriteString(name)
		_ = h.WriteByte(0)
	}
	slots := &b.buckets[h.Sum64()&uint64(len(b.buckets)-1)]
	now := b.clock.Load()
	var oldest *set
	at := 0
	for i := range slots {
		s := slots[i].Load()
		if s == nil {
			oldest, at = nil, i
			break // slots fill from the front
		}
		if s.ns == ns && slices.Equal(s.names, names) {
			if s.used.Load() != now {
				s.used.Store(now)
			}
			return s
		}
		if oldest == nil || s.used.Load() < oldest.used.Load() {
			oldest, at = s, i
		}
	}
	s := newSet(ns, names)
	s.used.Store(b.clock.Add(1))
	slots[at].CompareAndSwap(oldest, s) // if it fails, this call goes without keeping
	return s
}

// set is one set of names and the newest ACL compiled for it.
type set struct {
	ns      Namespace
	names   []string
	keys    []string // in storage; "" = built in, or no name at all
	used    atomic.Uint64
	current atomic.Pointer[compiled]
	mu      sync.Mutex // held while compiling, so that it is done once
}

// compiled is valid while the entries at the set's keys have these revisions.
type compiled struct {
	revisions []store.Revision
	acl       *ACL // of somebody unknown, for whom templates stand for nothing
	missing   []string
	policies  []*Policy // what to compile for somebody known; nil = acl will do: there are no templates
}

func newSet(ns Namespace, names []string) *set {
	s := &set{ns: ns, names: slices.Clone(names), keys: make([]string, len(names))}
	for i, name := range names {
		if clean(name) && name != WrappingName {
			s.keys[i] = folderOf(ns) + name
		}
	}
	return s
}

// get returns what is compiled for what r shows now.
func (s *set) get(ctx context.Context, r Reader, wrapping *Policy) (*compiled, error) {
	c := s.current.Load()
	if c == nil {
		return s.refresh(ctx, r, wrapping)
	}
	for i, key := range s.keys {
		if key == "" {
			continue
		}
		e, err := r.Get(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("reading policy %q: %w", s.names[i], err)
		}
		if e.Revision != c.revisions[i] {
			return s.refresh(ctx, r, wrapping)
		}
	}
	return c, nil
}

// refresh reads the policies and compiles them, unless another goroutine has
// done it for the same revisions meanwhile.
func (s *set) refresh(ctx context.Context, r Reader, wrapping *Policy) (*compiled, error) {
	c := &compiled{revisions: make([]store.Revision, len(s.keys))}
	entries := make([]store.Entry, len(s.keys))
	for i, key := range s.keys {
		if key == "" {
			continue
		}
		e, err := r.Get(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("reading policy %q: %w", s.names[i], err)
		}
		entries[i], c.revisions[i] = e, e.Revision
	}
	if slices.Contains(c.revisions, unwritten) {
		return c, s.compile(c, entries, wrapping)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.current.Load(); other != nil && slices.Equal(other.revisions, c.revisions) {
		return other, nil
	}
	if err := s.compile(c, entries, wrapping); err != nil {
		return nil, err
	}
	s.current.Store(c)
	return c, nil
}

func (s *set) compile(c *compiled, entries []store.Entry, wrapping *Policy) error {
	policies := make([]*Policy, 0, len(entries))
	for i, e := range entries {
		switch {
		case s.names[i] == WrappingName:
			policies = append(policies, wrapping)
		case !e.Exists():
			c.missing = append(c.missing, s.names[i])
		default:
			p, err := stored(s.names[i], e)
			if err != nil {
				return err
			}
			policies = append(policies, p)
		}
	}
	c.acl = CompileIn(s.ns.Path, nil, policies...)
	if slices.ContainsFunc(policies, func(p *Policy) bool { return p.templated }) {
		c.policies = policies
	}
	return nil
}
