package v1

import (
	"encoding/binary"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// record is one stored secret.
//
//	byte    format, 1
//	varint  ttl in ns, -1 = none
//	bytes   the JSON object as it came
type record struct {
	ttl  time.Duration
	data jsontext.Value
}

const (
	recordFormat = 1

	noTTL = time.Duration(-1)
)

func (r record) encode() []byte {
	b := make([]byte, 0, len(r.data)+12)
	b = binary.AppendVarint(append(b, recordFormat), int64(r.ttl))
	return append(b, r.data...)
}

// decodeRecord returns a record that shares its data with the entry.
func decodeRecord(entry []byte) (record, error) {
	damaged := errs.Newf(errs.Internal, "decoding a secret: the stored entry of %d bytes is damaged or of a newer format", len(entry))
	if len(entry) == 0 || entry[0] != recordFormat {
		return record{}, damaged
	}
	ttl, n := binary.Varint(entry[1:])
	if n <= 0 || ttl < int64(noTTL) || len(entry) < n+3 {
		return record{}, damaged
	}
	data := entry[1+n:]
	return record{time.Duration(ttl), jsontext.Value(data[:len(data):len(data)])}, nil
}
