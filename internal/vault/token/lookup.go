package token

import (
	"context"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// maxDepth bounds how many tokens stand above one another, and with it what a
// lookup of the lowest costs.
const maxDepth = 128

// Lookup finds the entry of a token that a client presented. Kind
// Unauthenticated, with one text for all: it is unknown, malformed, expired,
// used up or revoked, or its auth method was disabled or its namespace deleted;
// itself or above it.
func (m *Manager) Lookup(ctx context.Context, r Reader, clientToken string) (*Entry, error) {
	if clientToken == "" || len(clientToken) > MaxLen {
		return nil, unauthenticated()
	}
	path := m.ids.path(clientToken)
	blob, ok := strings.CutPrefix(clientToken, batchPrefix)
	if !ok {
		return m.find(ctx, r, path, false)
	}
	e := m.opened.get(path[len(idPrefix):])
	if e == nil {
		var err error
		if e, err = m.openBatch(blob); err != nil {
			return nil, unauthenticated()
		}
		e.Key = path[len(idPrefix):]
		m.opened.put(e)
	}
	return m.checked(ctx, r, e)
}

// Get finds the entry of a service token by its Key, also while its last use
// is under way. Kind Unauthenticated: there is none that is valid.
func (m *Manager) Get(ctx context.Context, r Reader, key string) (*Entry, error) {
	return m.find(ctx, r, idPrefix+key, true)
}

func unauthenticated() error { return errs.New(errs.Unauthenticated, "permission denied") }

func (m *Manager) find(ctx context.Context, r Reader, path string, evenSpent bool) (*Entry, error) {
	e, err := load(ctx, r, path)
	if err != nil {
		return nil, err
	}
	if e == nil || e.Spent() && !evenSpent {
		return nil, unauthenticated()
	}
	checked, err := m.checked(ctx, r, e)
	if err == nil || e.Parent == "" || !errs.Is(err, errs.Unauthenticated) {
		return checked, err
	}
	// The sweep after a RevokeOrphan may have cut the token from its parent and
	// removed the parent between our two reads.
	again, err := load(ctx, r, path)
	if err != nil || again == nil || again.Parent == e.Parent {
		return nil, unauthenticated()
	}
	return m.checked(ctx, r, again)
}

// checked returns e if it and every token above it is valid. Below a token that
// was revoked without its children it returns a copy that says Orphan.
func (m *Manager) checked(ctx context.Context, r Reader, e *Entry) (*Entry, error) { //nolint:cyclop // a flat list of conditions
	now := m.now()
	for at := e; ; {
		if at.expired(now) || at.severed || m.lost(at.MountID) || at.Namespace != "" && m.lostNamespace(at.Namespace) {
			return nil, unauthenticated()
		}
		if at.Parent == "" {
			return e, nil
		}
		above, err := load(ctx, r, idPrefix+at.Parent)
		switch {
		case err != nil:
			return nil, err
		case above == nil || above.Accessor != at.parentAccessor, above.severed && at.Type == Batch:
			// Nothing stored can make an orphan of a batch token: it ends with
			// what it names as its parent, whether swept up yet or not.
			return nil, unauthenticated()
		case above.severed && at == e:
			orphan := *e
			orphan.Parent, orphan.parentAccessor, orphan.Orphan = "", "", true
			return &orphan, nil
		case above.severed:
			return e, nil
		}
		at = above
	}
}

// load returns the entry at path whether it is valid or not, nil if there is none.
func load(ctx context.Context, r Reader, path string) (*Entry, error) {
	stored, err := r.Get(ctx, path)
	if err != nil || !stored.Exists() {
		return nil, err
	}
	return store.Decode(stored, decodeEntry)
}

// LookupAccessor finds the entry of a service token by its accessor. Kind
// Denied: there is none that is valid.
func (m *Manager) LookupAccessor(ctx context.Context, r Reader, accessor string) (*Entry, error) {
	if accessor == "" || len(accessor) > MaxLen {
		return nil, badAccessor()
	}
	stored, err := r.Get(ctx, m.accessorKey(accessor))
	if err != nil {
		return nil, err
	}
	if !stored.Exists() {
		return nil, badAccessor()
	}
	_, key, err := decodeAccessor(stored.Value)
	if err != nil {
		return nil, err
	}
	e, err := m.Get(ctx, r, key)
	if errs.Is(err, errs.Unauthenticated) {
		return nil, badAccessor()
	}
	return e, err
}

// Each calls each for every service token that is kept, expired ones among
// them until they are swept up, a page at a time.
func (m *Manager) Each(ctx context.Context, r Reader, each func(*Entry)) error {
	const page = 256
	for after := ""; ; {
		names, err := r.List(ctx, idPrefix, after, page)
		if err != nil || len(names) == 0 {
			return err
		}
		for _, name := range names {
			e, err := load(ctx, r, idPrefix+name)
			if err != nil {
				return err
			}
			if e != nil && !e.severed {
				each(e)
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		after = names[len(names)-1]
	}
}

// ErrAccessor is of kind Denied: what an accessor ends in that is nobody's.
var ErrAccessor = errs.New(errs.Denied, "invalid accessor")

func badAccessor() error { return ErrAccessor }

// accessorFolder is where the accessors of the tokens of one namespace lie.
func accessorFolder(namespace string) string {
	if namespace == "" {
		return accessorPrefix
	}
	return nsAccessorPrefix + namespace + "/"
}

// maxNamespace is longer than any namespace's ID.
const maxNamespace = 32

// accessorKey is where an accessor lies, which is said by how it ends.
func (m *Manager) accessorKey(accessor string) string {
	hash := m.accessor.path(accessor)
	_, namespace, ok := strings.Cut(accessor, ".")
	if !ok || namespace == "" || len(namespace) > maxNamespace || strings.Contains(namespace, "/") {
		return hash
	}
	return accessorFolder(namespace) + hash[len(accessorPrefix):]
}

// ListAccessors returns the accessors of the service tokens of a namespace ("" =
// the root), in an order of no meaning that starts behind after ("" = the
// start), at most limit (0 = all). It names every token of the namespace, and
// costs nothing for those of others: its caller asks for sudo.
func (m *Manager) ListAccessors(ctx context.Context, r Reader, namespace, after string, limit int) ([]string, error) {
	folder := accessorFolder(namespace)
	if after != "" {
		after = m.accessor.path(after)[len(accessorPrefix):]
	}
	names, err := r.List(ctx, folder, after, limit)
	if err != nil {
		return nil, err
	}
	accessors := make([]string, 0, len(names))
	for _, name := range names {
		stored, err := r.Get(ctx, folder+name)
		if err != nil {
			return nil, err
		}
		if !stored.Exists() {
			continue // gone since it was listed
		}
		accessor, _, err := decodeAccessor(stored.Value)
		if err != nil {
			return nil, err
		}
		accessors = append(accessors, accessor)
	}
	return accessors, nil
}

// The value of an accessor's record: version byte 1, accessor, key, both as
// length and bytes.
func encodeAccessor(accessor, key string) []byte {
	return appendString(appendString([]byte{entryVersion}, accessor), key)
}

func decodeAccessor(b []byte) (accessor, key string, err error) {
	if len(b) == 0 || b[0] != entryVersion {
		return "", "", errs.New(errs.Internal, "the record of an accessor is of a version this program does not know")
	}
	r := reader{b: b[1:]}
	accessor, key = r.string(), r.string()
	if r.bad || len(r.b) != 0 {
		return "", "", errs.New(errs.Internal, "the record of an accessor is damaged")
	}
	return accessor, key, nil
}
