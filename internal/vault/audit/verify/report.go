package verify

import (
	"fmt"

	"github.com/strongkeep/strongkeep/internal/vault/audit/chain"
)

// Kind is what happened to a line.
type Kind string

// The kinds of problems.
const (
	Removed   Kind = "removed"   // one or more lines are missing
	Added     Kind = "added"     // a line was never written by the server
	Changed   Kind = "changed"   // a line is not what it was
	Reordered Kind = "reordered" // lines stand in another order
	Truncated Kind = "truncated" // the end is missing: a checkpoint from elsewhere knows more
	Forked    Kind = "forked"    // a checkpoint from elsewhere contradicts the files
	Forged    Kind = "forged"    // a checkpoint line does not hold
	Foreign   Kind = "foreign"   // a checkpoint is signed by a key that was not given
)

// Place is a line.
type Place struct {
	File string `json:"file"`
	Line int64  `json:"line"` // from 1
}

func (p Place) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Problem is one thing that is not as it was written.
type Problem struct {
	Place
	Kind   Kind   `json:"kind"`
	Detail string `json:"detail"`
}

func (p Problem) String() string { return fmt.Sprintf("%s: %s: %s", p.Place, p.Kind, p.Detail) }

// maxProblems bounds Report.Problems.
const maxProblems = 100

// Report is what the files were found to be.
type Report struct {
	Problems    []Problem `json:"problems"`       // in the order of the files; at most 100
	More        int       `json:"more,omitempty"` // problems beyond those
	Files       int       `json:"files"`
	Bytes       int64     `json:"bytes"`
	Lines       int64     `json:"lines"` // without checkpoints
	Checkpoints int64     `json:"checkpoints"`
	From        int64     `json:"from"` // size of the log where the files begin
	Size        int64     `json:"size"` // where they end
	Root        string    `json:"root"` // of the last checkpoint
	Key         string    `json:"key"`
	KeyGiven    bool      `json:"key_given"` // false: it was taken from the files themselves
	// Unproven counts lines at the end that no checkpoint covers yet.
	Unproven int64 `json:"unproven"`
	// Unchained counts lines before the chain begins, or between two chains.
	Unchained int64 `json:"unchained"`
	// Torn are lines that a crash cut short. They were never acknowledged.
	Torn []Place `json:"torn,omitempty"`
	// Unchecked are checkpoints from elsewhere about a part that the files do
	// not hold, or do not prove yet.
	Unchecked []string `json:"unchecked,omitempty"`
}

// OK reports whether nothing is wrong and all but the end is proven.
func (r *Report) OK() bool { return r.Intact() && r.Unchained == 0 && r.Checkpoints > 0 }

// Intact reports whether nothing that can be checked is wrong.
func (r *Report) Intact() bool { return len(r.Problems) == 0 }

// Config is what is known beforehand.
type Config struct {
	// Keys are the public keys of the log, one for each time it was begun anew.
	// Without one, that of the first checkpoint in the files is taken: then the
	// proof holds against everybody but who could rewrite the whole log.
	Keys chain.Keys
	// Elsewhere are checkpoints that were kept elsewhere, as notes or as lines.
	Elsewhere []string
}
