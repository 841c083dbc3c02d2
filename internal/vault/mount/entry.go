package mount

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// Class says what kind of thing a mount is; it decides where it may live.
type Class string

// The classes. System mounts are made at init, can be neither moved nor
// removed, and their engines see the whole store. They serve every namespace.
const (
	Secret Class = "secret"
	Auth   Class = "auth"
	System Class = "system"
)

// AuthPrefix is where all auth methods are mounted.
const AuthPrefix = "auth/"

// Entry is one mount as it is stored, as JSON.
type Entry struct {
	ID          string            `json:"id"`                  // UUID; names the mount's storage
	Namespace   string            `json:"namespace,omitempty"` // ID of the namespace it is in; "" = the root
	Class       Class             `json:"class"`               // see Class
	Path        string            `json:"path"`                // within its namespace, ends in "/": "secret/", "auth/kubernetes/"
	Type        string            `json:"type"`                // as registered: "kv", "kubernetes"
	Accessor    string            `json:"accessor"`            // "kv_1a2b3c4d": names the mount to clients and in audit lines
	Description string            `json:"description,omitempty"`
	Options     map[string]string `json:"options,omitempty"`
	Local       bool              `json:"local,omitempty"`     // accepted and shown; there is no replication to exclude it from
	SealWrap    bool              `json:"seal_wrap,omitempty"` // accepted and shown; everything is sealed
	Config      Tuning            `json:"config"`
}

// Tuning is what sys/mounts/P/tune reads and writes. The zero value is all defaults.
type Tuning struct {
	DefaultTTL         time.Duration `json:"default_lease_ttl,omitempty"` // 0 = the system's
	MaxTTL             time.Duration `json:"max_lease_ttl,omitempty"`     // 0 = the system's
	ForceNoCache       bool          `json:"force_no_cache,omitempty"`    // accepted and shown
	ListingVisibility  string        `json:"listing_visibility,omitempty"`
	TokenType          TokenType     `json:"token_type,omitempty"`
	NonHMACRequest     []string      `json:"audit_non_hmac_request_keys,omitempty"`
	NonHMACResponse    []string      `json:"audit_non_hmac_response_keys,omitempty"`
	PassthroughHeaders []string      `json:"passthrough_request_headers,omitempty"`
	AllowedHeaders     []string      `json:"allowed_response_headers,omitempty"`
	// Lockout is of auth methods with passwords; nil = engine.DefaultLockout.
	Lockout *engine.Lockout `json:"user_lockout,omitempty"`
}

// TokenType is what kind of token the logins of an auth method get. The zero
// value is DefaultService.
type TokenType string

// Service and Batch hold whatever the role says; the others where it says nothing.
const (
	Service        TokenType = "service"
	Batch          TokenType = "batch"
	DefaultService TokenType = "default-service"
	DefaultBatch   TokenType = "default-batch"
)

// Storage returns the prefix that confines the mount's engine.
func (e *Entry) Storage() string {
	if e.Class == System {
		return ""
	}
	return DataPrefix + e.ID + "/"
}

// Fixed reports whether the mount can be neither removed nor moved.
func (e *Entry) Fixed() bool { return e.Class == System || e.Type == "cubbyhole" && e.Namespace == "" }

// Where entries and the data of mounts are stored. A purge key names the data
// of a removed mount that is still to be deleted.
const (
	EntryPrefix = "mount/entry/"
	PurgePrefix = "mount/purge/"
	DataPrefix  = "data/"
)

func decodeEntry(b []byte) (*Entry, error) {
	e := new(Entry)
	if err := json.Unmarshal(b, e); err != nil {
		return nil, errs.Newf(errs.Internal, "decoding a mount entry: %w", err)
	}
	if e.ID == "" || e.Type == "" || !strings.HasSuffix(e.Path, "/") {
		return nil, errs.New(errs.Internal, "decoding a mount entry: it has no id, type or path")
	}
	return e, nil
}

// CleanPath brings a mount path from a request into the form "a/b/". Kind
// Invalid: empty, too long, dots, control characters, wildcards.
func CleanPath(path string) (string, error) {
	path = strings.Trim(path, "/")
	switch {
	case path == "":
		return "", errs.New(errs.Invalid, "a mount path must not be empty")
	case len(path) > 256:
		return "", errs.Newf(errs.Invalid, "a mount path of %d bytes is over the limit of 256", len(path))
	case strings.ContainsAny(path, "*+?#%\\"):
		return "", errs.Newf(errs.Invalid, "the mount path %q holds one of the characters *+?#%%\\ which paths in policies and URLs cannot name", path)
	}
	for _, segment := range strings.Split(path, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return "", errs.Newf(errs.Invalid, "the mount path %q has an empty, \".\" or \"..\" segment", path)
		}
	}
	for _, r := range path {
		if r < 0x20 || r == 0x7f || r == 0xfffd {
			return "", errs.New(errs.Invalid, "a mount path must be printable text")
		}
	}
	return path + "/", nil
}
