package namespace

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// Bounds of a namespace.
const (
	MaxName  = 128 // bytes of one name
	MaxPath  = 512 // bytes of a whole path; the gate's limit of paths leaves room for more
	MaxDepth = 16  // names in a path
	idLen    = 5
)

// Entry is one namespace as it is stored, as JSON. It is not changed after it
// was made.
type Entry struct {
	ID       string            `json:"id"`   // five characters of base62; the end of its tokens
	UUID     string            `json:"uuid"` // as clients see it
	Path     string            `json:"path"` // from the root: "team-a/", "team-a/dev/"
	Metadata map[string]string `json:"custom_metadata,omitempty"`
	Created  time.Time         `json:"created"`
	// Lock is set while the API is locked for the namespace and all within it.
	Lock *Lock `json:"lock,omitempty"`
}

// Lock holds who may open a locked namespace besides those with sudo.
type Lock struct {
	KeyHash []byte `json:"key_hash"` // SHA-256 of the unlock key, which is 32 random bytes
}

// ErrLocked refuses a request to a namespace that by's lock holds for (see
// Table.LockedBy). It is Vault's text, which says whom to ask.
func ErrLocked(by *Entry) error {
	return errs.Newf(errs.Unavailable, "API access to this namespace has been locked by an administrator - %q must be unlocked to gain access.", by.Path)
}

// Namespace is the entry as requests and engines know it.
func (e *Entry) Namespace() engine.Namespace { return engine.Namespace{ID: e.ID, Path: e.Path} }

// Parent returns the path of the namespace above, "" for the root.
func (e *Entry) Parent() string { return parent(e.Path) }

func parent(path string) string {
	return path[:strings.LastIndexByte(strings.TrimSuffix(path, "/"), '/')+1]
}

// Root is the namespace that holds all others. It is not stored.
var Root = engine.Namespace{ID: engine.RootNamespaceID} //nolint:gochecknoglobals // a constant

// Key is the ID of ns as entries keep it: "" for the root.
func Key(ns engine.Namespace) string {
	if ns.Root() {
		return ""
	}
	return ns.ID
}

// Within reports whether ns is top or lies below it.
func Within(ns, top engine.Namespace) bool { return strings.HasPrefix(ns.Path, top.Path) }

// reserved names would hide what every namespace has of its own.
var reserved = []string{"root", "sys", "audit", "auth", "cubbyhole", "identity", "api-lock"} //nolint:gochecknoglobals // a constant

// CleanPath brings the path of a namespace from a request into the form
// "team-a/dev/". Kind Invalid: empty, too long or too deep, or a name that
// cannot be one.
func CleanPath(path string) (string, error) {
	path = strings.Trim(path, "/")
	switch {
	case path == "":
		return "", errs.New(errs.Invalid, "a namespace must have a name")
	case len(path) >= MaxPath:
		return "", errs.Newf(errs.Invalid, "a namespace path of %d bytes is over the limit of %d", len(path), MaxPath-1)
	case strings.Count(path, "/") >= MaxDepth:
		return "", errs.Newf(errs.Invalid, "namespaces are nested at most %d deep", MaxDepth)
	}
	for name := range strings.SplitSeq(path, "/") {
		if err := checkName(name); err != nil {
			return "", err
		}
	}
	return path + "/", nil
}

// checkName admits names that are themselves in a policy, a URL and a header:
// no wildcards, no escapes, and nothing that looks like something else.
func checkName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return errs.New(errs.Invalid, `a namespace path has an empty, "." or ".." name in it`)
	case len(name) > MaxName:
		return errs.Newf(errs.Invalid, "a namespace name of %d bytes is over the limit of %d", len(name), MaxName)
	case slices.Contains(reserved, strings.ToLower(name)):
		return errs.Newf(errs.Invalid, "%q is a reserved path and cannot be used as a namespace name", name)
	case strings.ContainsFunc(name, func(r rune) bool { return !nameRune(r) }):
		return errs.Newf(errs.Invalid, "namespace name %.80q: use letters, digits and any of - _ . : @ = ~", name)
	}
	return nil
}

func nameRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.:@=~", r)
}

// Bounds of custom_metadata, those of KV v2.
const (
	maxMetadata      = 64
	maxMetadataKey   = 128
	maxMetadataValue = 512
)

// CheckMetadata refuses custom_metadata beyond the bounds. Kind Invalid.
func CheckMetadata(m map[string]string) error {
	if len(m) > maxMetadata {
		return errs.Newf(errs.Invalid, "custom_metadata has %d keys; the limit is %d", len(m), maxMetadata)
	}
	for key, value := range m {
		switch {
		case key == "" || len(key) > maxMetadataKey:
			return errs.Newf(errs.Invalid, "a key of custom_metadata must have 1 to %d bytes", maxMetadataKey)
		case len(value) > maxMetadataValue:
			return errs.Newf(errs.Invalid, "a value of custom_metadata has %d bytes; the limit is %d", len(value), maxMetadataValue)
		case strings.ContainsFunc(key+value, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }):
			return errs.New(errs.Invalid, "custom_metadata must be printable text")
		}
	}
	return nil
}

func encode(e *Entry) []byte {
	b, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings, maps of strings and times of this era always encode
	}
	return b
}

func decode(b []byte) (*Entry, error) {
	e := new(Entry)
	if err := json.Unmarshal(b, e); err != nil {
		return nil, errs.New(errs.Internal, "a namespace entry is damaged")
	}
	if path, err := CleanPath(e.Path); err != nil || path != e.Path || !ValidID(e.ID) {
		return nil, errs.New(errs.Internal, "a namespace entry has no proper id or path")
	}
	return e, nil
}

// ValidID reports whether id could be that of a namespace other than the root.
func ValidID(id string) bool {
	return len(id) == idLen && !strings.ContainsFunc(id, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}
