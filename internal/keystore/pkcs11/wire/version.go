package wire

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// ID is a version of a key: one object of the token.
type ID struct {
	// Number is that of its label NAME/NUMBER; 0 if the key was named by its CKA_ID.
	Number uint32
	// Print tells it from others of that label: see token.fingerprint.
	Print [PrintSize]byte
}

// PrintSize is the size of a fingerprint, IDSize of an ID on the wire and in blobs.
const (
	PrintSize = 8
	IDSize    = 4 + PrintSize
)

// String is such as "3-0123456789abcdef".
func (v ID) String() string {
	return strconv.FormatUint(uint64(v.Number), 10) + "-" + hex.EncodeToString(v.Print[:])
}

// ParseID reads what String has made. Kind Invalid.
func ParseID(text string) (v ID, err error) {
	number, print, _ := strings.Cut(text, "-")
	n, err := strconv.ParseUint(number, 10, 32)
	raw, err2 := hex.DecodeString(print)
	if err == nil && err2 == nil && len(raw) == PrintSize {
		v = ID{Number: uint32(n), Print: [PrintSize]byte(raw)}
	}
	if v.String() != text {
		return ID{}, errs.Newf(errs.Invalid, "%q is no version of a key in a PKCS#11 token", text)
	}
	return v, nil
}

// Append appends number and fingerprint, IDSize bytes.
func (v ID) Append(to []byte) []byte {
	return append(binary.BigEndian.AppendUint32(to, v.Number), v.Print[:]...)
}

// DecodeID reads what Append has made. Kind Invalid.
func DecodeID(raw []byte) (ID, error) {
	if len(raw) != IDSize {
		return ID{}, errs.Newf(errs.Invalid, "%d bytes are no version of a key", len(raw))
	}
	return ID{Number: binary.BigEndian.Uint32(raw), Print: [PrintSize]byte(raw[4:])}, nil
}

// Version is one that the token has.
type Version struct {
	ID
	// Refused is why nothing is encrypted under it; empty if it may be.
	Refused string
}

// Versions are the fields of an answer to List: two of each, ID and Refused.
func Versions(all []Version) [][]byte {
	fields := make([][]byte, 0, 2*len(all))
	for _, v := range all {
		fields = append(fields, v.Append(nil), []byte(v.Refused))
	}
	return fields
}

// ParseVersions reads what Versions has made. Kind Invalid.
func ParseVersions(fields [][]byte) ([]Version, error) {
	if len(fields)%2 != 0 {
		return nil, errs.New(errs.Invalid, "a list of versions was cut short")
	}
	all := make([]Version, 0, len(fields)/2)
	for ; len(fields) > 0; fields = fields[2:] {
		id, err := DecodeID(fields[0])
		if err != nil {
			return nil, err
		}
		all = append(all, Version{ID: id, Refused: string(fields[1][:min(len(fields[1]), maxText)])})
	}
	return all, nil
}

// Opening says which token and key. One of Label and Serial, or both, says which token;
// one of Name and KeyID which key.
type Opening struct {
	Module, Label, Serial string
	Name                  string // versions are the keys NAME/1, NAME/2 and so on
	KeyID                 []byte // the CKA_ID of the only one
	PIN                   []byte
	// CheckValue has fingerprints made of CKA_CHECK_VALUE.
	CheckValue bool
}

const checkValue = "check-value"

// Fields of Open.
func (o Opening) Fields() [][]byte {
	var how []byte
	if o.CheckValue {
		how = []byte(checkValue)
	}
	return [][]byte{[]byte(o.Module), []byte(o.Label), []byte(o.Serial), []byte(o.Name), o.KeyID, o.PIN, how}
}

// Opening reads them. Kind Invalid.
func (m Message) Opening() (Opening, error) {
	f, err := m.Want(7)
	if err != nil {
		return Opening{}, err
	}
	how := string(f[6])
	if how != "" && how != checkValue {
		return Opening{}, errs.Newf(errs.Invalid, "there is no fingerprint %q", how)
	}
	return Opening{Module: string(f[0]), Label: string(f[1]), Serial: string(f[2]), Name: string(f[3]), KeyID: f[4], PIN: f[5], CheckValue: how != ""}, nil
}
