package devices

import (
	"context"
	"encoding/json"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Prefix is where entries are stored, by device path without its slash.
const Prefix = "audit/"

// Device is one enabled device with what only people need to know of it.
type Device struct {
	audit.Spec
	Description string
	Local       bool // accepted and shown; there is no replication
}

// BestEffort reports whether requests do not wait for the device.
func (d *Device) BestEffort() bool {
	required, err := strconv.ParseBool(d.Options["required"])
	return err == nil && !required
}

// stored is a Device as it is kept, in JSON. The store seals it.
type stored struct {
	Path        string            `json:"path"` // "file/"
	Type        string            `json:"type"`
	Description string            `json:"description,omitempty"`
	Local       bool              `json:"local,omitempty"`
	Options     map[string]string `json:"options,omitempty"`
	Key         []byte            `json:"key"`              // audit.KeySize bytes
	Enabled     time.Time         `json:"enabled,omitzero"` // zero: by a version that did not note it
}

// Reader is what listing needs, Tx what changing needs; *store.Txn and engine.Tx have both.
type Reader interface {
	Get(ctx context.Context, key string) (store.Entry, error)
	List(ctx context.Context, folder, after string, limit int) ([]string, error)
}

// Tx is a Reader that also writes.
type Tx interface {
	Reader
	Put(key string, value []byte)
	Delete(key string)
}

var pathForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// CleanPath brings a device's path from a request into the form "file/". Kind
// Invalid: it is more than one plain segment.
func CleanPath(path string) (string, error) {
	path = strings.Trim(path, "/")
	if !pathForm.MatchString(path) || strings.Trim(path, ".") == "" {
		return "", errs.Newf(errs.Invalid, "the path of an audit device must be 1 to 64 letters, digits, dots, dashes or underscores")
	}
	return path + "/", nil
}

// NewKey fills in a fresh key.
func (d *Device) NewKey(random io.Reader) error {
	key := make([]byte, audit.KeySize)
	if _, err := io.ReadFull(random, key); err != nil {
		return errs.Newf(errs.Internal, "making the key of an audit device: %w", err)
	}
	d.Key = redact.New(key)
	return nil
}

// Add writes a new device, which must have its key. Kind Exist: the path is taken.
func Add(ctx context.Context, tx Tx, d Device) error {
	key := Prefix + strings.TrimSuffix(d.Path, "/")
	entry, err := tx.Get(ctx, key)
	if err != nil {
		return err
	}
	if entry.Exists() {
		return errs.Newf(errs.Exist, "path already in use: an audit device is enabled at %q", d.Path)
	}
	value, err := json.Marshal(stored{d.Path, d.Type, d.Description, d.Local, d.Options, d.Key.Reveal(), d.Enabled})
	if err != nil {
		return errs.Newf(errs.Internal, "encoding an audit device: %w", err)
	}
	tx.Put(key, value)
	return nil
}

// Remove deletes the device at path, if it is there.
func Remove(tx Tx, path string) { tx.Delete(Prefix + strings.TrimSuffix(path, "/")) }

// All returns every device by path.
func All(ctx context.Context, r Reader) (map[string]Device, error) {
	names, err := r.List(ctx, Prefix, "", 0)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "listing audit devices: %w", err)
	}
	all := make(map[string]Device, len(names))
	for _, name := range names {
		entry, err := r.Get(ctx, Prefix+name)
		if err != nil {
			return nil, errs.Newf(errs.KindOf(err), "reading audit device %q: %w", name, err)
		}
		if !entry.Exists() {
			continue
		}
		d, err := decode(entry.Value)
		if err != nil {
			return nil, err
		}
		all[d.Path] = d
	}
	return all, nil
}

func decode(value []byte) (Device, error) {
	var s stored
	if err := json.Unmarshal(value, &s); err != nil || s.Path == "" || s.Type == "" || len(s.Key) != audit.KeySize {
		return Device{}, errs.New(errs.Internal, "decoding a stored audit device: it is damaged")
	}
	return Device{
		Spec:        audit.Spec{Path: s.Path, Type: s.Type, Options: s.Options, Key: redact.New(s.Key), Enabled: s.Enabled},
		Description: s.Description, Local: s.Local,
	}, nil
}
