package history

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Kind is what was asked of a node.
type Kind string

// The kinds. Read and Write are of a key, the others of a token, a lease or a node.
const (
	Read   Kind = "read"   // a key's newest version
	Write  Kind = "write"  // a key, with check-and-set if CAS >= 0
	Create Kind = "create" // a token
	Use    Kind = "use"    // a token, by itself
	Revoke Kind = "revoke" // a token
	Status Kind = "status" // is the node sealed
	Seal   Kind = "seal"   // the node
	Lease  Kind = "lease"  // an account of the target, for target.TTL
	End    Kind = "end"    // a lease before its time; answered when it is done
	Made   Kind = "made"   // an account, as the target saw it
	Ended  Kind = "ended"  // an account, as the target saw it
)

// Outcome is what became of an operation.
type Outcome string

// The outcomes. Failed: for sure not done. Denied is a failure of Use: the token is refused.
const (
	OK      Outcome = "ok"
	Failed  Outcome = "failed"
	Denied  Outcome = "denied"
	Unknown Outcome = "unknown"
)

// Op is one operation. Which fields count depends on Kind.
type Op struct {
	Client  int
	Node    int
	Kind    Kind
	Key     string // the key, or the token's or account's name; never a token
	Value   string // written or read; "" = there is none
	Version int    // that the write made or the read found, 0 = none; of Status and Seal: which start of the node
	CAS     int    // of a write; -1 = none
	Sealed  bool   // what Status saw
	Indexed bool   // it brought the highest index that anybody had been given when it began
	Final   bool   // it is a read after all faults, of Version if that is set
	Call    time.Duration
	Return  time.Duration
	Outcome Outcome
	Detail  string // of a failure: the status and the server's words
}

func (o Op) String() string {
	what := fmt.Sprintf("%s %s", o.Kind, o.Key)
	switch o.Kind {
	case Read, Write:
		what += fmt.Sprintf(" = %q version %d", o.Value, o.Version)
		if o.Kind == Write && o.CAS >= 0 {
			what += fmt.Sprintf(" cas %d", o.CAS)
		}
	case Status:
		what += fmt.Sprintf("sealed=%t", o.Sealed)
	}
	if o.Indexed {
		what += " indexed"
	}
	if o.Final {
		what += " final"
	}
	return strings.TrimSpace(fmt.Sprintf("[%9.3f %9.3f] client %d node %d %s: %s %s", o.Call.Seconds(), o.Return.Seconds(), o.Client, o.Node, what, o.Outcome, o.Detail))
}

// Log collects operations and knows the time and the highest index. It is for any
// goroutine.
type Log struct {
	start time.Time

	mu    sync.Mutex
	ops   []Op
	index string // as a server gave it; of the highest revision
	rev   uint64
}

// New begins a log, at time zero.
func New() *Log { return &Log{start: time.Now()} }

// Now is the time since the log began, monotonic.
func (l *Log) Now() time.Duration { return time.Since(l.start) }

// At is a time as the log tells it.
func (l *Log) At(t time.Time) time.Duration { return t.Sub(l.start) }

// Add keeps an operation.
func (l *Log) Add(o Op) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ops = append(l.ops, o)
}

// Ops are all so far, in order of their calls.
func (l *Log) Ops() []Op {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Clone(l.ops)
	slices.SortStableFunc(all, func(a, b Op) int { return int(a.Call - b.Call) })
	return all
}

// Index is the highest index that a server has given anybody, "" = none yet.
func (l *Log) Index() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.index
}

// Saw notes the index of an answer. It must be called before the operation's return is
// taken.
func (l *Log) Saw(index string) error {
	if index == "" {
		return nil
	}
	rev, err := revision(index)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if rev > l.rev {
		l.rev, l.index = rev, index
	}
	return nil
}

// revision of an index: base64 of "v1:VAULT:REVISION:REVISION:…".
func revision(index string) (uint64, error) {
	raw, err := base64.StdEncoding.DecodeString(index)
	if err != nil {
		return 0, fmt.Errorf("an index that is no base64: %q", index)
	}
	parts := strings.Split(string(raw), ":")
	if len(parts) < 4 || parts[0] != "v1" {
		return 0, fmt.Errorf("an index of another form: %q", raw)
	}
	rev, err := strconv.ParseUint(parts[2], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("an index of another form: %q", raw)
	}
	return rev, nil
}
