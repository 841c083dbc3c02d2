package seal

import (
	"encoding/binary"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// tally is how often all nodes together may have encrypted under a term.
// Stored at UsageKey, sealed by the keyring with usageAAD:
//
//	+---------+------+-------+
//	| version | term | total |
//	|  1 = 1  |  4   |   8   |   big-endian
//	+---------+------+-------+
type tally struct {
	term  uint32
	total uint64
}

const (
	tallyVersion = 1
	tallySize    = 1 + 4 + 8
)

func (t tally) encode() []byte {
	b := make([]byte, 1, tallySize)
	b[0] = tallyVersion
	b = binary.BigEndian.AppendUint32(b, t.term)
	return binary.BigEndian.AppendUint64(b, t.total)
}

func decodeTally(b []byte) (tally, error) {
	if len(b) == 0 || b[0] != tallyVersion {
		return tally{}, errs.New(errs.Unsupported, "the count of encryptions has a format that this version of Strongkeep does not know")
	}
	if len(b) != tallySize {
		return tally{}, errs.Newf(errs.Internal, "the count of encryptions has %d bytes, not %d", tallySize, len(b))
	}
	return tally{term: binary.BigEndian.Uint32(b[1:]), total: binary.BigEndian.Uint64(b[5:])}, nil
}

// tallyOf reads what storage holds about the newest term of r. What cannot be
// read, or is of an older term, counts as all there may be: then a rotation
// follows, which starts a count that is right, and a damaged count never keeps
// a vault shut. Newer reports that it is, or claims to be, of a term that r
// does not have yet.
func tallyOf(r *ring, aad, stored []byte) (t tally, newer bool) {
	worst := tally{term: r.newest(), total: r.use.limit}
	plain, err := r.open(aad, stored)
	if errs.Is(err, errs.Unavailable) {
		return worst, true
	}
	if err != nil {
		return worst, false
	}
	if t, err = decodeTally(plain); err != nil || t.term != worst.term {
		return worst, false
	}
	return t, false
}
