package awskms

import (
	"encoding/binary"
	"regexp"
	"strconv"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// A blob is what KMS answered, behind the version that it is under:
//
//	+---+-----------+--------+-----------+----------------+
//	| 1 |  number   | length | id of the | CiphertextBlob |
//	|   | 4, big e. |   1    | key       |                |
//	+---+-----------+--------+-----------+----------------+
//
// The number is that of the alias, 0 if the settings name the key itself. The head is
// not authenticated: Unwrap has KMS decrypt with the alias or key that it names, and
// compares the key that KMS says it was.
const (
	format   = 1
	headSize = 6
)

// version is a key of KMS, and the alias by which it is one.
type version struct {
	number uint32 // of the alias; 0: none
	id     string // of the key
}

// keyIDs are those of KMS: a UUID, or that of a key in several regions.
var keyIDs = regexp.MustCompile(`^(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$`)

// String is the version's ID: "3/<id>", or the key's id alone.
func (v version) String() string {
	if v.number == 0 {
		return v.id
	}
	return strconv.FormatUint(uint64(v.number), 10) + "/" + v.id
}

// parseVersion reads what String has made. Kind Invalid.
func parseVersion(text string) (version, error) {
	v := version{id: text}
	if number, id, ok := strings.Cut(text, "/"); ok {
		n, err := strconv.ParseUint(number, 10, 32)
		v = version{number: uint32(n), id: id}
		if err != nil || n == 0 || v.String() != text {
			return version{}, errs.Newf(errs.Invalid, "%q is no version of a key in AWS KMS", text)
		}
	}
	if !keyIDs.MatchString(v.id) {
		return version{}, errs.Newf(errs.Invalid, "%q is no version of a key in AWS KMS", text)
	}
	return v, nil
}

func pack(v version, ciphertext []byte) []byte {
	blob := binary.BigEndian.AppendUint32([]byte{format}, v.number)
	blob = append(blob, byte(len(v.id)))
	blob = append(blob, v.id...)
	return append(blob, ciphertext...)
}

// unpack reads a blob. Kinds: Invalid, Unsupported (of a newer Strongkeep).
func unpack(blob []byte) (v version, ciphertext []byte, err error) {
	if len(blob) < headSize {
		return v, nil, errs.Newf(errs.Invalid, "%d bytes are too few for what AWS KMS encrypted: it was cut short", len(blob))
	}
	if blob[0] != format {
		return v, nil, errs.Newf(errs.Unsupported, "an encrypted value has format %d and this version of Strongkeep knows only %d: upgrade it, or the value is damaged", blob[0], format)
	}
	end := headSize + int(blob[headSize-1])
	if end >= len(blob) {
		return v, nil, errs.Newf(errs.Invalid, "%d bytes are too few for what AWS KMS encrypted: it was cut short", len(blob))
	}
	v = version{number: binary.BigEndian.Uint32(blob[1:]), id: string(blob[headSize:end])}
	if !keyIDs.MatchString(v.id) {
		return version{}, nil, errs.New(errs.Invalid, "an encrypted value names no key of AWS KMS: it is damaged")
	}
	return v, blob[end:], nil
}
