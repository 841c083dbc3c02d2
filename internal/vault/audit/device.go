package audit

import (
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/audit/hashing"
)

// KeySize is the length of a device's key in bytes.
const KeySize = hashing.KeySize

// Device is a place lines go to. Its methods are called by one goroutine at a
// time. Making a Device touches nothing outside; the first Write does.
type Device interface {
	// Write makes lines durable, as far as the place knows durability, before
	// it returns nil. lines are whole and end in a newline. With an error none
	// of them counts as written, and the device sees to it that what got
	// through is taken back or at least ended, before it writes again. Write
	// is what tries a broken device again. Errors say what is wrong, and no
	// more: who calls adds which device. The device must not keep lines.
	Write(lines []byte) error
	// Reload lets go of whatever was opened and opens it anew, after a log was rotated.
	Reload() error
	// Target says where lines go, for people: a path, "standard output". Two
	// enabled devices never have the same.
	Target() string
	// Close lets go of whatever was opened. Everything written is durable already.
	Close() error
}

// Settler is a Device that has something of its own to write once no lines
// come for settleAfter. Like Write, Settle is called by the one goroutine.
type Settler interface{ Settle() error }

// Proof is a signed checkpoint of a device's lines (package chain).
type Proof struct {
	Key  string // the public key
	Note string // the signed text; "" = nothing is signed yet
	Size int64  // how many lines it is about
	Time time.Time
}

// Prover is a Device whose lines are chained. Proof may be called at any time.
type Prover interface{ Proof() Proof }

// Archive is a Device whose lines can be read again where it wrote them.
type Archive interface {
	// Files returns the files that have its lines, oldest first: what the log was
	// moved aside to, as far as it still lies beside it, and the one written to. It
	// may be called at any time. Who reads them must bear a last line that is only
	// half there. Unavailable: they cannot be listed.
	Files() ([]string, error)
}

// Setup is what a Factory makes a Device from.
type Setup struct {
	Path     string            // the name it is enabled under, "file/"
	Options  map[string]string // those that are not common to all types
	Format   Format
	Required bool
	Key      redact.Secret // of Spec; a Factory may derive from it
	// Publish tells every best-effort device a line of the device's own, a
	// checkpoint. It may be called by the one goroutine that calls Write.
	Publish func(line []byte)
}

// Factory makes a Device of one type. It refuses an option it does not know
// (errs.Invalid).
type Factory func(Setup) (Device, error)

// Spec is one enabled device, as sys/audit knows it and the store keeps it.
type Spec struct {
	Path    string            // the name it is enabled under, "file/"
	Type    string            // which Factory
	Options map[string]string // Format's, "required", and the type's own
	Key     redact.Secret     // KeySize bytes, made once when the device is enabled and kept with it
	Enabled time.Time         // when that was; zero: not known
}

// build checks s and makes its sink, which is not yet started.
func (b *Broker) build(s Spec) (*sink, error) {
	name := strings.TrimSuffix(s.Path, "/") + "/"
	if name == "/" {
		return nil, errs.New(errs.Invalid, "an audit device needs a path to be enabled under")
	}
	if s.Key.Len() != KeySize {
		return nil, errs.Newf(errs.Invalid, "the key of audit device %q has %d bytes, not %d", name, s.Key.Len(), KeySize)
	}
	factory := b.types[s.Type]
	if factory == nil {
		return nil, errs.Newf(errs.Invalid, "unknown audit device type %q; there are: %s", s.Type, strings.Join(b.typeNames(), ", "))
	}
	common, rest, err := parseCommon(s.Options, b.limit)
	if err != nil {
		return nil, err
	}
	dev, err := factory(Setup{
		Path: name, Options: rest, Format: common.format, Required: common.required, Key: s.Key,
		Publish: func(line []byte) { b.publish(name, line) },
	})
	if err != nil {
		return nil, err
	}
	return newSink(sinkConfig{
		name: name, kind: s.Type, enabled: s.Enabled, dev: dev, required: common.required, limit: common.bytes, lines: common.lines,
		log: b.log, now: b.now, encoder: &encoder{Hasher: hashing.New(s.Key), format: common.format},
	}), nil
}
