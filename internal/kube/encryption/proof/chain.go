package proof

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/strongkeep/strongkeep/internal/attest"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Signed is a report whose signature was found right.
type Signed struct {
	attest.Verified
	Report *Statement
}

// Verify opens the reports of files, each of one envelope or more, a line each, and verifies
// that they are one chain without a gap: the oldest comes first, whatever the order of the
// files. Not one byte may be another than was written. Kinds: Invalid, Unsupported.
func Verify(keys attest.Keys, files [][]byte) ([]Signed, error) {
	var chain []Signed
	for _, file := range files {
		if !bytes.HasSuffix(file, []byte("\n")) {
			return nil, errs.New(errs.Invalid, "a file of reports does not end as it was written: it was cut off, or changed")
		}
		for line := range bytes.SplitSeq(bytes.TrimSuffix(file, []byte("\n")), []byte("\n")) {
			one, err := open(keys, line)
			if err != nil {
				return nil, errs.Newf(errs.KindOf(err), "report %d of those given: %w", len(chain)+1, err)
			}
			chain = append(chain, one)
		}
	}
	if len(chain) == 0 {
		return nil, errs.New(errs.Invalid, "there is no report")
	}
	slices.SortStableFunc(chain, func(a, b Signed) int { return int(min(max(a.Seq-b.Seq, -1), 1)) })
	for i := 1; i < len(chain); i++ {
		if err := chain[i].Follows(chain[i-1].Verified); err != nil {
			return nil, err
		}
		if chain[i].Report.Cluster != chain[i-1].Report.Cluster {
			return nil, errs.Newf(errs.Invalid, "report %d is of another cluster than the one before it", chain[i].Seq)
		}
	}
	return chain, nil
}

// ChainOf is the name of the chain of a cluster's reports. An evidence engine signs all its
// chains with one key, and who may append to another one may not report: so a report counts
// only under this name.
func ChainOf(cluster string) string { return "encryption/" + cluster }

// open verifies one line.
func open(keys attest.Keys, line []byte) (Signed, error) {
	v, err := attest.Verify(keys, line)
	if err != nil {
		return Signed{}, err
	}
	envelope, err := attest.ParseEnvelope(line)
	if err != nil {
		return Signed{}, err
	}
	if again, err := envelope.Encode(); err != nil || !bytes.Equal(again, line) {
		return Signed{}, errs.New(errs.Invalid, "the envelope is not written as it was: something beside what is signed was changed")
	}
	if n := len(envelope.Signatures); n != 1 { // those of keys that are not known nobody verifies
		return Signed{}, errs.Newf(errs.Invalid, "the envelope has %d signatures, and a report is written with one: something was added to it", n)
	}
	s, err := Parse(v.Statement)
	if err != nil {
		return Signed{}, err
	}
	if v.Name != ChainOf(s.Cluster) {
		return Signed{}, errs.Newf(errs.Invalid, "the report was signed as one of %q, and says that it is of the cluster %q: who signed it might write something else only", v.Name, s.Cluster)
	}
	return Signed{v, s}, nil
}

// Doubts are what a chain that verifies still tells against itself, for people.
func Doubts(chain []Signed) []string {
	var out []string
	for i := range chain {
		for _, note := range chain[i].Report.Notes {
			out = append(out, number(chain[i].Seq)+note)
		}
		if i > 0 && chain[i].Report.Time.Before(chain[i-1].Report.Time) && len(chain[i].Report.Notes) == 0 {
			out = append(out, number(chain[i].Seq)+"it is from before the report in front of it, by its own clock")
		}
	}
	return out
}

func number(seq int64) string { return "report " + strconv.FormatInt(seq, 10) + ": " }
