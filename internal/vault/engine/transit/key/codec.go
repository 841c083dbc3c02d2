package key

import (
	"encoding/base64"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// A stored key. Numbers are big-endian.
//
//	uint8   format, 1
//	uint8   type
//	uint16  flags
//	uint16  size, bytes of an HMAC key
//	uint32  lowest version that decrypts
//	uint32  lowest version that encrypts, 0 = the latest
//	uint32  lowest version that is there, 0 = 1
//	uint64  period of automatic rotation, ns
//	        versions, from the lowest that is there to the latest, each:
//	uint8     1 = only the public key; others 0
//	uint64    when it was made, Unix ns
//	uint16    length of the material, the material
//	uint8     length of its HMAC key, the HMAC key
const format = 1

const (
	flagDerived = 1 << iota
	flagConvergent
	flagExportable
	flagPlaintextBackup
	flagDeletionAllowed
	flagImported
	flagImportedRotation
	flagsKnown = 1<<iota - 1
)

// flags pairs each rule that is yes or no with its bit.
func (r *Rules) flags() map[uint16]*bool {
	return map[uint16]*bool{
		flagDerived: &r.Derived, flagConvergent: &r.Convergent, flagExportable: &r.Exportable,
		flagPlaintextBackup: &r.PlaintextBackup, flagDeletionAllowed: &r.DeletionAllowed,
		flagImported: &r.Imported, flagImportedRotation: &r.ImportedRotation,
	}
}

// maxStored leaves room below store.MaxValue for what sealing adds.
const maxStored = store.MaxValue - 1<<10

// Encode returns the key as it is stored. It fails with TooLarge if there are
// too many versions for one entry.
func (k *Key) Encode() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddUint8(format)
	b.AddUint8(uint8(k.Type))
	var flags uint16
	for bit, set := range k.flags() {
		if *set {
			flags |= bit
		}
	}
	b.AddUint16(flags)
	b.AddUint16(uint16(k.Size))
	b.AddUint32(uint32(k.MinDecryption))
	b.AddUint32(uint32(k.MinEncryption))
	b.AddUint32(uint32(k.MinAvailable))
	b.AddUint64(uint64(k.AutoRotate))
	for _, v := range k.Versions {
		v.append(&b)
	}
	stored, err := b.Bytes()
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding a key: %w", err)
	}
	if len(stored) > maxStored {
		return nil, errs.Newf(errs.TooLarge, "the key's %d versions are too many for one entry: raise min_encryption_version and min_decryption_version, and trim it", len(k.Versions))
	}
	return stored, nil
}

func (v *Version) append(b *cryptobyte.Builder) {
	var publicOnly uint8
	if v.publicOnly {
		publicOnly = 1
	}
	b.AddUint8(publicOnly)
	b.AddUint64(uint64(v.Created.UnixNano()))
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(v.material) })
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(v.mac) })
}

// Decode reads what Encode wrote. It aliases stored. An error is Internal and
// quotes nothing.
func Decode(stored []byte) (*Key, error) {
	k, ok := decode(stored)
	if !ok {
		return nil, errs.Newf(errs.Internal, "decoding a transit key: the stored entry of %d bytes is damaged or of a newer format", len(stored))
	}
	return k, nil
}

func decode(stored []byte) (*Key, bool) {
	k, s := &Key{}, cryptobyte.String(stored)
	if !k.decodeKind(&s) || !k.decodeLimits(&s) || k.check() != nil {
		return nil, false
	}
	return k, k.decodeVersions(s) && k.consistent()
}

func (k *Key) decodeKind(s *cryptobyte.String) bool {
	var form, kind uint8
	var flags, size uint16
	if !s.ReadUint8(&form) || form != format || !s.ReadUint8(&kind) || !s.ReadUint16(&flags) || flags&^flagsKnown != 0 || !s.ReadUint16(&size) {
		return false
	}
	for bit, rule := range k.flags() {
		*rule = flags&bit != 0
	}
	k.Type, k.Size = Type(kind), int(size)
	return true
}

func (k *Key) decodeLimits(s *cryptobyte.String) bool {
	var minDecryption, minEncryption, minAvailable uint32
	var rotate uint64
	if !s.ReadUint32(&minDecryption) || !s.ReadUint32(&minEncryption) || !s.ReadUint32(&minAvailable) || !s.ReadUint64(&rotate) ||
		max(minDecryption, minEncryption, minAvailable) > maxVersion {
		return false
	}
	k.MinDecryption, k.MinEncryption, k.MinAvailable = int(minDecryption), int(minEncryption), int(minAvailable)
	k.AutoRotate = time.Duration(rotate)
	return true
}

func (k *Key) decodeVersions(s cryptobyte.String) bool {
	for n := k.First(); !s.Empty(); n++ {
		var publicOnly uint8
		var created uint64
		var material, mac cryptobyte.String
		if !s.ReadUint8(&publicOnly) || publicOnly > 1 || !s.ReadUint64(&created) ||
			!s.ReadUint16LengthPrefixed(&material) || !s.ReadUint8LengthPrefixed(&mac) {
			return false
		}
		k.Versions = append(k.Versions, &Version{
			Number: n, Created: time.Unix(0, int64(created)).UTC(), kind: k.Type,
			publicOnly: publicOnly == 1, material: material, mac: mac,
		})
	}
	return true
}

// consistent reports whether the limits lie among the versions.
func (k *Key) consistent() bool {
	return len(k.Versions) > 0 && k.MinDecryption >= 1 && k.MinDecryption <= k.Latest() && k.MinEncryption <= k.Latest() && k.CheckMinima() == nil
}

// backupPrefix tells a backup of ours from anything else.
const backupPrefix = "strongkeep-transit-1:"

// Backup returns the whole key with its material as text, for Restore.
func (k *Key) Backup(name string) (string, error) {
	stored, err := k.Encode()
	if err != nil {
		return "", err
	}
	var b cryptobyte.Builder
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(name)) })
	b.AddBytes(stored)
	whole, err := b.Bytes()
	if err != nil {
		return "", errs.Newf(errs.Internal, "encoding a backup: %w", err)
	}
	return base64.StdEncoding.EncodeToString(append([]byte(backupPrefix), whole...)), nil
}

// Restore reads a Backup, and returns the name the key had. It trusts nothing:
// all material is parsed. Errors are Invalid and quote nothing.
func Restore(backup string) (name string, k *Key, err error) {
	damaged := errs.New(errs.Invalid, "the backup is damaged, or was not made by backup/ of this engine")
	raw, err := base64.StdEncoding.DecodeString(backup)
	if err != nil || len(raw) < len(backupPrefix) || string(raw[:len(backupPrefix)]) != backupPrefix {
		return "", nil, damaged
	}
	s := cryptobyte.String(raw[len(backupPrefix):])
	var was cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&was) {
		return "", nil, damaged
	}
	k, ok := decode(s)
	if !ok {
		return "", nil, damaged
	}
	for _, v := range k.Versions {
		if _, err := v.use(); err != nil || k.Type != HMAC && len(v.mac) == 0 || k.Derived && v.publicOnly {
			return "", nil, damaged
		}
	}
	return string(was), k, nil
}
