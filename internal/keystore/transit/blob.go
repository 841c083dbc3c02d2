package transit

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// A blob is what the engine answered, "vault:v3:<base64>", without the text, in
// which bits could be changed that mean nothing:
//
//	+---+-----------+-------------------+
//	| 1 |  version  |  what was base64  |
//	|   | 4, big e. |                   |
//	+---+-----------+-------------------+
const (
	format   = 1
	headSize = 5
)

// pack makes a blob. Its error quotes nothing.
func pack(text string) ([]byte, error) {
	rest, ok := strings.CutPrefix(text, "vault:v")
	number, body, found := strings.Cut(rest, ":")
	version, err := strconv.ParseUint(number, 10, 32)
	raw, bad := base64.StdEncoding.Strict().DecodeString(body)
	if !ok || !found || err != nil || version == 0 || bad != nil || len(raw) == 0 {
		return nil, errs.New(errs.Internal, "the vault's answer is no ciphertext of its transit engine")
	}
	blob := binary.BigEndian.AppendUint32([]byte{format}, uint32(version))
	return append(blob, raw...), nil
}

// unpack reads a blob. Kinds: Invalid, Unsupported (of a newer Strongkeep).
func unpack(blob []byte) (version string, text string, err error) {
	if len(blob) <= headSize {
		return "", "", errs.Newf(errs.Invalid, "%d bytes are too few for what a transit engine encrypted: it was cut short", len(blob))
	}
	if blob[0] != format {
		return "", "", errs.Newf(errs.Unsupported, "an encrypted value has format %d and this version of Strongkeep knows only %d: upgrade it, or the value is damaged", blob[0], format)
	}
	version = strconv.FormatUint(uint64(binary.BigEndian.Uint32(blob[1:headSize])), 10)
	return version, "vault:v" + version + ":" + base64.StdEncoding.EncodeToString(blob[headSize:]), nil
}
