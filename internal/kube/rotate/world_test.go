package rotate

import (
	"fmt"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// The simulator: a world of one credential, the Secrets fed from it and the
// workloads that use them, and an operator that observes, asks Decide, persists
// and acts, and that can be killed at every boundary between these. Credentials
// are numbers: the turn that made them, 0 for the one before the first.

// crash is what unwinds an operator that is killed.
type crash struct{}

// credential is what the backend knows.
type credential struct {
	open    bool
	closed  time.Duration // mono time of closing
	removed bool
}

// secret follows readers after lag.
type secret struct {
	name   string
	holds  int64
	since  time.Duration // mono time at which readers changed
	lag    time.Duration
	stuck  bool
	wanted int64
}

// workload uses a Secret.
type workload struct {
	name    string
	secret  *secret
	runs    int64 // the credential of its pods
	rolling bool
	to      int64
	until   time.Duration
	takes   time.Duration
	reloads time.Duration // > 0: follows its Secret by itself after that
	never   bool          // does not reload, cannot be restarted
	never2  bool          // and its proof can never be had
	crashes bool          // on any credential but the first
	crashed bool
	hurt    bool // was on a credential that did not work
	cut     bool // and that is accepted, until it runs on another
}

// failure is how an act fails, once.
type failure struct{ again, waits, applied bool }

// statement is what the ledger keeps of a turn. It takes one, and the same again.
type statement struct {
	result  Result
	why     string
	retired bool
}

// world is everything that is not the operator.
type world struct {
	mono    time.Duration
	leap    time.Duration // of the wall clock
	plan    Plan
	asks    Asks
	due     bool
	turn    Turn // the persisted status
	version int  // its resourceVersion
	asked   bool // AcceptUnproven was asked for in this turn
	waived  bool // and beyond the limit
	creds   map[int64]*credential
	readers int64
	present int64 // the turn that the target knows
	old     int64 // what readers saw before it
	noOld   bool
	secrets []*secret
	loads   []*workload
	fails   map[Act][]failure
	blind   func(w *world) bool
	gate    func(w *world) Gate
	unknown []string
	backend bool
	trace   []string
	broken  []string // invariants that did not hold
	begun   int
	refused int // writes refused
	ledger  map[int64]statement
	leaked  map[int64]bool // turns that a leak went before when their statement could not be made
	acts    map[string]int
}

func newWorld() *world {
	w := &world{
		plan:  Plan{OverlapMax: time.Hour, AtLimit: v1alpha1.AtLimitHold, Watch: time.Minute, NeedComplete: true, NeedBackend: v1alpha1.BackendWhereKnown},
		due:   true,
		creds: map[int64]*credential{0: {open: true}},
		fails: map[Act][]failure{}, acts: map[string]int{}, backend: true, ledger: map[int64]statement{}, leaked: map[int64]bool{},
		gate: func(*world) Gate { return Gate{Open: true, Slot: true} },
	}
	for _, lag := range []time.Duration{0, 7 * time.Second} {
		w.secrets = append(w.secrets, &secret{name: fmt.Sprintf("secret-%d", len(w.secrets)), lag: lag})
	}
	w.loads = []*workload{
		{name: "env-a", secret: w.secrets[0], takes: 5 * time.Second},
		{name: "env-b", secret: w.secrets[1], takes: 25 * time.Second},
		{name: "file-c", secret: w.secrets[1], reloads: 15 * time.Second},
	}
	return w
}

func (w *world) now() time.Time { return time.Unix(1_900_000_000, 0).Add(w.mono + w.leap) }

func (w *world) breach(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf("%v %s: ", w.mono, w.turn.Phase)+fmt.Sprintf(format, args...))
}

// accepted reports whether a person has taken the risk for l: at once if its
// proof can never be had, else beyond the limit only.
func (w *world) accepted(l *workload) bool { return w.waived || w.asked && l.never2 }

// pass lets time go by, in steps of a second.
func (w *world) pass(d time.Duration) {
	for end := w.mono + max(d, 0); w.mono < end; {
		w.mono += min(time.Second, end-w.mono)
		w.settle()
	}
}

// settle moves everything that moves by itself, and looks whether anyone is hurt.
func (w *world) settle() {
	for _, s := range w.secrets {
		if s.wanted != w.readers {
			s.wanted, s.since = w.readers, w.mono
		}
		if !s.stuck && s.holds != w.readers && w.mono-s.since >= s.lag {
			s.holds, s.since = w.readers, w.mono
		}
	}
	for _, l := range w.loads {
		if l.reloads > 0 && l.runs != l.secret.holds && w.mono-l.secret.since >= l.reloads {
			l.runs = l.secret.holds
			l.crashed = l.crashes && l.runs != 0
		}
		if l.rolling && w.mono >= l.until {
			l.rolling, l.crashed = false, l.crashes && l.to != 0
			if !l.crashed {
				l.runs = l.to
			}
		}
		c := w.creds[l.runs]
		if c == nil || !c.open || c.removed {
			l.hurt = true
			if l.cut = l.cut || w.accepted(l); !l.cut {
				w.breach("%s runs on credential %d, which does not work", l.name, l.runs)
			}
			continue
		}
		l.cut = false
	}
}

// target

// apply does an act as a target does: strictly, and once.
func (w *world) apply(a Act, number int64) string {
	if number != w.turn.Number || a != w.turn.Act {
		w.breach("act %s of turn %d is not the one announced: %s of %d", a, number, w.turn.Act, w.turn.Number)
	}
	w.acts[fmt.Sprintf("%d %s", number, a)]++
	if a == ActStage && number == w.present+1 {
		if c := w.creds[w.present]; w.present > 0 && c != nil && !c.removed && w.readers != w.present {
			return "the turn before is not ended"
		}
		w.old, w.present = w.readers, number
	}
	if number != w.present && a != ActRecord {
		return fmt.Sprintf("turn %d is not the present one, %d", number, w.present)
	}
	switch a {
	case ActStage:
		if c := w.creds[number]; c != nil && c.removed {
			return "the new credential is removed"
		}
		w.creds[number] = &credential{open: true}
	case ActPublish:
		return w.publish(number)
	case ActRestore:
		if w.noOld {
			return "there is nothing to publish again"
		}
		return w.publish(w.old)
	case ActRoll, ActUnroll:
		w.roll()
	case ActClose:
		return w.shut()
	case ActReopen:
		if w.creds[w.old].removed {
			return "the old credential is removed"
		}
		w.creds[w.old].open, w.creds[w.old].closed = true, 0
	case ActRetire:
		return w.retire()
	case ActDiscard:
		return w.discard(number)
	case ActRecord:
		w.record()
	}
	return ""
}

// record keeps what the status says of the turn that ends.
func (w *world) record() {
	t := w.turn
	said := statement{t.Result(), t.Why, !t.Retired.IsZero()}
	if was, ok := w.ledger[t.Number]; ok && was != said {
		w.breach("turn %d is recorded as %+v, and was as %+v", t.Number, said, was)
	}
	w.ledger[t.Number] = said
	switch staged, gone := w.creds[t.Number] != nil && !w.creds[t.Number].removed, w.creds[w.old].removed; {
	case said.result == ResultAbandoned:
		w.breach("turn %d is recorded as given up", t.Number)
	case said.result == ResultRotated && (!staged || !w.noOld && !gone || said.retired == w.noOld):
		w.breach("turn %d is recorded as %+v: staged %v, the old one gone %v", t.Number, said, staged, gone)
	case said.result != ResultRotated && (staged || gone || said.why == ""):
		w.breach("turn %d is recorded as %+v: staged %v, the old one gone %v", t.Number, said, staged, gone)
	case said.result == ResultRolledBack && (!said.retired || t.Staged.IsZero()):
		w.breach("turn %d is recorded as %+v, and was staged %v", t.Number, said, t.Staged)
	case t.Ended.IsZero():
		w.breach("turn %d is recorded, and has not ended", t.Number)
	}
}

// checkLedger wants one statement of each turn that has ended, as it ended.
func (w *world) checkLedger() {
	for n := int64(1); n <= w.turn.Number; n++ {
		said, ok := w.ledger[n]
		switch over := n < w.turn.Number || w.turn.Phase == v1alpha1.PhaseIdle || w.turn.Phase == v1alpha1.PhaseFailed; {
		case ok != over && (ok || !w.leaked[n]):
			w.breach("turn %d is over: %v; it has a statement: %v", n, over, ok)
		case ok && n == w.turn.Number && (w.turn.Phase == v1alpha1.PhaseIdle) != (said.result == ResultRotated):
			w.breach("turn %d ends in %s and is recorded as %+v", n, w.turn.Phase, said)
		}
	}
}

func (w *world) publish(n int64) string {
	if c := w.creds[n]; c == nil || c.removed || !c.open {
		w.breach("publishing credential %d, which does not work", n)
		return "it does not work"
	}
	w.readers = n
	w.settle()
	return ""
}

func (w *world) roll() {
	under := 0
	for _, l := range w.loads {
		if l.rolling {
			under++
		}
	}
	for _, l := range w.loads {
		if l.reloads > 0 || l.never || l.rolling || under >= 1 || l.runs == l.secret.holds && !l.crashed {
			continue
		}
		if l.crashed && l.to == l.secret.holds {
			continue // it is tried, and crashes
		}
		if !w.gate(w).Open && w.turn.Phase == v1alpha1.PhaseRolling && w.turn.Cause != CauseLeak && !w.asks.Leaked {
			w.breach("restarting %s outside the window", l.name)
		}
		l.rolling, l.to, l.until = true, l.secret.holds, w.mono+l.takes
		under++
	}
}

func (w *world) shut() string {
	if w.readers == w.old {
		w.breach("closing what readers see")
		return "readers see the old one"
	}
	for _, l := range w.loads {
		if !w.accepted(l) && (l.runs != w.readers || l.rolling) {
			w.breach("closing while %s runs on %d", l.name, l.runs)
		}
	}
	if c := w.creds[w.old]; c.open {
		c.open, c.closed = false, w.mono
		w.settle()
	}
	return ""
}

func (w *world) retire() string {
	c := w.creds[w.old]
	if !c.removed && (c.open || w.mono-c.closed < w.plan.Watch) {
		w.breach("removing without the watch: open %v, closed for %v", c.open, w.mono-c.closed)
	}
	c.removed = true
	w.settle()
	return ""
}

func (w *world) discard(n int64) string {
	if w.readers == n {
		w.breach("discarding what readers see")
		return "readers see it"
	}
	if c := w.creds[n]; c != nil {
		c.removed = true
	} else {
		w.creds[n] = &credential{removed: true}
	}
	w.settle()
	return ""
}

// wanted is what readers are to see, going is what is to go.
func (w *world) sides() (wanted, going int64) {
	switch {
	case w.turn.Back == BackShown || w.turn.Back == BackRolled || w.turn.Back == BackCleared:
		return w.old, w.turn.Number
	case w.turn.Published.IsZero():
		return w.readers, -1
	default:
		return w.turn.Number, w.old
	}
}

func (w *world) observeSecrets() (out Secrets) {
	wanted, _ := w.sides()
	for _, s := range w.secrets {
		out.Total++
		switch {
		case s.stuck:
			out.Stuck = append(out.Stuck, s.name)
		case s.holds == wanted:
			out.Confirmed++
		default:
			out.Late = append(out.Late, s.name)
		}
	}
	return out
}

func (w *world) observeLoads() (r Rolling, p Proof) {
	wanted, going := w.sides()
	p.Unknown, p.Backend = w.unknown, w.backend
	for _, l := range w.loads {
		p.Pods++
		switch {
		case l.runs == wanted && !l.rolling && !l.crashed:
			p.Proven++
		case l.never2:
			p.Never = append(p.Never, l.name)
		case !l.secret.stuck:
			p.Missing = append(p.Missing, l.name)
		}
		if l.runs == going {
			p.OldSessions++
		}
		if l.crashed && !w.turn.Published.IsZero() {
			p.Failing = append(p.Failing, l.name)
		}
		if l.reloads > 0 || l.never || l.secret.stuck {
			continue
		}
		r.Total++
		switch {
		case l.rolling:
			r.Under = append(r.Under, l.name)
		case l.crashed && l.to == wanted:
			r.Failed = append(r.Failed, l.name)
		case l.runs == wanted && !l.crashed:
			r.Done++
		}
	}
	return r, p
}

// operator is one process: what it remembers is lost with it.
type operator struct {
	w       *world
	outcome Outcome
	watched time.Duration // mono time since when the closed one is watched; -1: not
	// kill is how many boundaries are passed before it is killed; -1: never.
	kill *int
}

func (o *operator) boundary() {
	if *o.kill == 0 {
		*o.kill--
		panic(crash{})
	}
	*o.kill--
}

func (o *operator) observe() Observed {
	w := o.w
	obs := Observed{Now: w.now(), Plan: w.plan, Turn: w.turn, Asks: w.asks, Gate: w.gate(w), Act: o.outcome}
	obs.Turn.Known, obs.Turn.Seen, obs.Turn.NoOld = w.present, true, w.noOld
	if w.due {
		obs.Due.Cause = CauseSchedule
	}
	if w.blind != nil && w.blind(w) {
		obs.Blind = []string{"the API server: away"}
		o.watched = -1
		return obs
	}
	obs.Secrets = w.observeSecrets()
	obs.Rolling, obs.Proof = w.observeLoads()
	switch {
	case w.turn.Closed.IsZero():
		o.watched = -1
	case o.watched < 0:
		o.watched = w.mono
	}
	if o.watched >= 0 {
		obs.Watched = w.mono - o.watched
	}
	return obs
}

// persist writes the step, unless the status is another than was observed.
func (w *world) persist(s Step, version int) bool {
	if version != w.version {
		w.refused++
		return false
	}
	before := w.turn
	w.turn = w.turn.Take(s, w.now())
	w.version++
	if s.Begin != "" {
		w.leaked[before.Number] = s.Begin == CauseLeak && before.Act == ActRecord
		w.due, w.asks.Rotate, w.asked, w.waived = false, false, false, false
		w.begun++
	}
	if s.Cause == CauseLeak {
		w.asks.Leaked = false
	}
	if w.turn.Phase != before.Phase || w.turn.Act != before.Act {
		w.trace = append(w.trace, fmt.Sprintf("%v %d %s/%s %s %s", w.mono, w.turn.Number, w.turn.Phase, w.turn.Act, w.turn.Back, s.Reason))
	}
	if !slices.Contains([]v1alpha1.Phase{v1alpha1.PhaseIdle, v1alpha1.PhaseFailed, v1alpha1.PhaseDone}, w.turn.Phase) && s.Reason == "" {
		w.breach("a step without a reason: %+v", s)
	}
	return true
}

// cycle is one look of the operator; it returns when to look again.
func (o *operator) cycle() time.Duration {
	w := o.w
	w.settle()
	version := w.version
	obs := o.observe()
	s := Decide(obs)
	if obs.Asks.AcceptUnproven {
		w.asked = true
		w.waived = w.waived || obs.waived()
	}
	o.boundary() // before it is persisted
	if !w.persist(s, version) {
		return soon
	}
	o.boundary() // persisted, not done
	if s.Act == NoAct || s.Later {
		if o.outcome.Act != s.Act {
			o.outcome = Outcome{}
		}
		return s.After
	}
	o.act(s)
	o.boundary() // done, and remembered
	return s.After
}

func (o *operator) act(s Step) {
	w := o.w
	out := Outcome{Act: s.Act, Number: w.turn.Number, Last: w.now(), Tries: 1}
	if o.outcome.Act == s.Act && o.outcome.Number == w.turn.Number {
		out.Tries += o.outcome.Tries
	}
	var f *failure
	if planned := w.fails[s.Act]; len(planned) > 0 {
		f, w.fails[s.Act] = &planned[0], planned[1:]
	}
	refused := ""
	if f == nil || f.applied {
		refused = w.apply(s.Act, w.turn.Number)
	}
	switch {
	case refused != "":
		out.Failed = refused
	case f != nil:
		out.Failed, out.Again, out.Waits = "planned", f.again, f.waits
	default:
		out.Done = true
	}
	o.boundary() // done, and what came of it is lost
	o.outcome = out
}

// run lets the operator work until done says so, with scripts for what people
// and clocks do. A killed operator is started again a while later.
func (w *world) run(kill *int, script func(*world), done func(*world) bool) bool {
	op := &operator{w: w, watched: -1, kill: kill}
	for range 3000 {
		if script != nil {
			script(w)
		}
		after, killed := w.try(op)
		if killed {
			op = &operator{w: w, watched: -1, kill: kill}
			after = 20 * time.Second
		}
		if done(w) {
			w.settle()
			return true
		}
		if after <= 0 {
			after = time.Minute
		}
		w.pass(min(after, 20*time.Second))
	}
	return false
}

func (w *world) try(op *operator) (after time.Duration, killed bool) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case crash:
			killed = true
		default:
			panic(p)
		}
	}()
	return op.cycle(), false
}
