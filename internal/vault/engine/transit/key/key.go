package key

import (
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Rules are what a key is made with, and what its settings change.
type Rules struct {
	Type             Type
	Size             int  // bytes of an HMAC key, 0 otherwise
	Derived          bool // every use names a context, from which its own key is derived
	Convergent       bool // equal plaintexts give equal ciphertexts; only derived keys
	Exportable       bool // never unset once set
	PlaintextBackup  bool // never unset once set
	DeletionAllowed  bool
	Imported         bool // its material was brought in
	ImportedRotation bool // an imported key may be rotated here

	MinDecryption int           // versions below decrypt and verify no more; at least 1
	MinEncryption int           // versions below encrypt and sign no more; 0 = only the latest unless asked
	MinAvailable  int           // versions below are gone; 0 = none is
	AutoRotate    time.Duration // 0 = never
}

// Key is a named key with all its versions.
type Key struct {
	Rules
	Versions []*Version // ascending and without gaps, the last is the latest; never empty
}

// Limits of a key.
const (
	MinAutoRotate = time.Hour
	maxVersion    = 1 << 30
)

// First returns the number of the oldest version there is.
func (k *Key) First() int { return max(1, k.MinAvailable) }

// Latest returns the number of the newest version.
func (k *Key) Latest() int { return k.First() + len(k.Versions) - 1 }

// Version returns version n, nil if there is none.
func (k *Key) Version(n int) *Version {
	i := n - k.First()
	if i < 0 || i >= len(k.Versions) {
		return nil
	}
	return k.Versions[i]
}

// Newest returns the latest version.
func (k *Key) Newest() *Version { return k.Versions[len(k.Versions)-1] }

// Clone returns a copy whose rules and list of versions may be changed.
func (k *Key) Clone() *Key {
	c := *k
	c.Versions = slices.Clone(k.Versions)
	return &c
}

// ForMaking returns the version that encrypts or signs (purpose, for the error)
// for a request that asks for version n, 0 being the latest.
func (k *Key) ForMaking(n int64, purpose string) (*Version, error) {
	switch {
	case n == 0:
		return k.Newest(), nil
	case n < 0:
		return nil, errs.Newf(errs.Invalid, "requested version for %s is negative", purpose)
	case n > int64(k.Latest()):
		return nil, errs.Newf(errs.Invalid, "requested version for %s is higher than the latest key version", purpose)
	case n < int64(k.MinEncryption) || k.Version(int(n)) == nil:
		return nil, errs.Newf(errs.Invalid, "requested version for %s is less than the minimum encryption key version", purpose)
	}
	return k.Version(int(n)), nil
}

// ForChecking returns the version that decrypts or verifies what (for the
// error) was made with version n.
func (k *Key) ForChecking(n int, what string) (*Version, error) {
	switch {
	case n > k.Latest():
		return nil, errs.Newf(errs.Invalid, "invalid %s: version is too new", what)
	case n < k.MinDecryption || k.Version(n) == nil:
		return nil, errs.New(errs.Invalid, "ciphertext or signature version is disallowed by policy (too old)")
	}
	return k.Version(n), nil
}

// check holds the rules that must be true of every key, however it came to be:
// made, imported, restored or decoded. RSA and ECDSA keys that claim to be
// derived would make every use of them fail or worse.
func (r *Rules) check() error {
	t := r.Type
	switch {
	case !t.valid():
		return errs.New(errs.Invalid, "unknown key type")
	case r.Derived && !t.Derives():
		return errs.Newf(errs.Invalid, "key derivation and convergent encryption not supported for keys of type %s", t)
	case r.Convergent && !t.AEAD():
		return errs.Newf(errs.Invalid, "convergent encryption not supported for keys of type %s", t)
	case r.Convergent && !r.Derived:
		return errs.New(errs.Invalid, "convergent encryption requires derivation to be enabled")
	case r.Imported && !r.ImportedRotation && r.AutoRotate != 0:
		return errs.New(errs.Invalid, "allow_rotation must be set to true if auto-rotation is enabled")
	}
	if err := r.checkSize(); err != nil {
		return err
	}
	return CheckAutoRotate(r.AutoRotate)
}

func (r *Rules) checkSize() error {
	switch {
	case r.Type != HMAC && r.Size != 0:
		return errs.New(errs.Invalid, "key_size can be set only for keys of type hmac")
	case r.Type == HMAC && (r.Size < MinHMAC || r.Size > MaxHMAC):
		return errs.Newf(errs.Invalid, "key_size must be between %d and %d bytes", MinHMAC, MaxHMAC)
	}
	return nil
}

// CheckAutoRotate reports what is wrong with a period of automatic rotation.
func CheckAutoRotate(period time.Duration) error {
	if period != 0 && period < MinAutoRotate {
		return errs.New(errs.Invalid, "auto rotate period must be 0 to disable or at least an hour")
	}
	return nil
}

// SetMinDecryption changes from which version on the key decrypts; 0 means 1.
func (k *Key) SetMinDecryption(n int64) error {
	switch {
	case n < 0:
		return errs.New(errs.Invalid, "min decryption version cannot be negative")
	case n > int64(k.Latest()):
		return errs.Newf(errs.Invalid, "cannot set min decryption version of %d, latest key version is %d", n, k.Latest())
	}
	k.MinDecryption = max(1, int(n))
	return nil
}

// SetMinEncryption changes from which version on the key encrypts; 0 means the latest.
func (k *Key) SetMinEncryption(n int64) error {
	switch {
	case n < 0:
		return errs.New(errs.Invalid, "min encryption version cannot be negative")
	case n > int64(k.Latest()):
		return errs.Newf(errs.Invalid, "cannot set min encryption version of %d, latest key version is %d", n, k.Latest())
	}
	k.MinEncryption = int(n)
	return nil
}

// CheckMinima is asked after both were set.
func (k *Key) CheckMinima() error {
	switch {
	case k.MinEncryption > 0 && k.MinEncryption < k.MinDecryption:
		return errs.Newf(errs.Invalid, "cannot set min encryption/decryption values; min encryption version of %d must be greater than or equal to min decryption version of %d", k.MinEncryption, k.MinDecryption)
	case k.MinAvailable > k.MinDecryption:
		return errs.New(errs.Invalid, "min decryption version should not be less than min available version: older versions were trimmed")
	case k.MinEncryption > 0 && k.MinAvailable > k.MinEncryption:
		return errs.New(errs.Invalid, "min encryption version should not be less than min available version: older versions were trimmed")
	}
	return nil
}

// Trim removes all versions below n for good.
func (k *Key) Trim(n int64) error {
	switch {
	case n < 1:
		return errs.New(errs.Invalid, "minimum available version must be at least 1")
	case k.MinEncryption == 0:
		return errs.New(errs.Invalid, "minimum available version cannot be set when minimum encryption version is not set")
	case n > int64(k.Latest()):
		return errs.Newf(errs.Invalid, "cannot set minimum available version of %d, latest key version is %d", n, k.Latest())
	case n < int64(k.MinAvailable):
		return errs.New(errs.Invalid, "minimum available version cannot be decremented")
	case n > int64(k.MinEncryption):
		return errs.New(errs.Invalid, "minimum available version cannot be higher than minimum encryption version")
	case n > int64(k.MinDecryption):
		return errs.New(errs.Invalid, "minimum available version cannot be higher than minimum decryption version")
	}
	k.Versions = slices.Clone(k.Versions[int(n)-k.First():])
	k.MinAvailable = int(n)
	return nil
}

// Due returns when the key is to be rotated by itself, the zero time for never.
func (k *Key) Due() time.Time {
	if k.AutoRotate == 0 {
		return time.Time{}
	}
	return k.Newest().Created.Add(k.AutoRotate)
}

// Rotates reports whether the key may get a version made here.
func (k *Key) Rotates() bool { return !k.Imported || k.ImportedRotation }
