package targettest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// Credential is what readers get.
type Credential struct {
	Public string // such as a user's name
	Secret string
}

// Fixture is one credential that is turned, on a backend of its own.
type Fixture struct {
	Kind   target.Kind
	Config target.Config // the suite sets Rotation, Vault around the one given, Clock and Log
	// Read returns what readers see now; ok is false when there is nothing.
	Read func(t *testing.T) (c Credential, ok bool)
	// Works uses a credential as a consumer does that logs in anew.
	Works func(t *testing.T, c Credential) bool
	// Before, when set, does before the staging of a turn what only a person can.
	Before func(t *testing.T, number int64)
	// NeverCloses: Close does nothing to this kind.
	NeverCloses bool
	// Left, when set, names what there is of credentials at the backend, and beside
	// what readers see: public names, in a stable order.
	Left func(t *testing.T) []string
	// Logs, when set, is what the backend wrote down; it must hold no secret either.
	Logs func() string
}

// Rotation is who turns in the suite.
const Rotation = "team/rotation"

// Run runs the suite. fresh makes a credential that nobody has turned yet.
func Run(t *testing.T, fresh func(t *testing.T) Fixture) {
	for name, test := range map[string]func(*run){
		"forward": testForward, "back": testBack, "back before publishing": testDiscard, "first turn back": testFirstBack,
		"turns": testTurns, "holders": testHolders, "guards": testGuards, "late acts": testLate, "never staged": testNeverStaged,
		"observing": testObserver, "rehearsing": testRehearser, "rehearsing, broken off": testRehearsalFaults, "lending": testLender, "faults": testFaults,
	} {
		t.Run(name, func(t *testing.T) {
			r := &run{T: t, Fixture: fresh(t), log: &buffer{}}
			test(r)
			r.checkLeaks()
		})
	}
}

// run is one test on one credential.
type run struct {
	*testing.T
	Fixture
	log     *buffer
	secrets []string // seen; none may be told
	told    []string // errors and states
	faults  *faults
	fence   int64 // that acts come with
}

// open makes a Target as an operator does that has just started.
func (r *run) open(rotation string) target.Target {
	r.Helper()
	cfg := r.Config
	cfg.Rotation, cfg.Clock = rotation, clock.RealClock{}
	cfg.Log = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if r.faults != nil {
		cfg.Vault = faulty{cfg.Vault, r.faults}
	}
	made, err := r.Kind.Open(cfg)
	if err != nil {
		r.Fatalf("opening the target: %v", err)
	}
	return made
}

// buffer is a log that several goroutines may write to.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// act is one act of a turn.
type act struct {
	name string
	side target.Side
}

var (
	stage      = act{"stage", target.New}
	publish    = act{"publish", target.New}
	restore    = act{"publish", target.Old}
	closing    = act{"close", target.Old}
	reopen     = act{"reopen", target.Old}
	retire     = act{"retire", target.Old}
	discard    = act{"retire", target.New}
	allForward = []act{stage, publish, closing, retire}
)

func (a act) String() string { return a.name + " " + a.side.String() }

// try does an act with a Target of its own.
func (r *run) try(a act, number int64, rotation string) (target.State, error) {
	r.Helper()
	to, turn := r.open(rotation), target.Turn{Number: number, Rotation: rotation, Fence: r.fence}
	ctx := context.WithoutCancel(r.Context())
	var state target.State
	var err error
	switch a.name {
	case "stage":
		if r.Before != nil && rotation == Rotation {
			r.Before(r.T, number)
		}
		state, err = to.Stage(ctx, turn)
	case "publish":
		state, err = to.Publish(ctx, turn, a.side)
	case "close":
		err = to.Close(ctx, turn)
	case "reopen":
		err = to.Reopen(ctx, turn)
	case "retire":
		err = to.Retire(ctx, turn, a.side)
		if c, ok := to.(target.Confirmable); ok && target.IsPending(err) {
			if err := c.Confirm(ctx, turn, a.side); err != nil {
				r.note(fmt.Sprint(err))
				return state, err
			}
			err = r.open(rotation).Retire(ctx, turn, a.side)
		}
	}
	r.note(fmt.Sprintf("%+v %v %#v", state, err, to))
	return state, err
}

func (r *run) note(text string) { r.told = append(r.told, text) }

// do does an act twice, each with a Target of its own: as a crash behind it
// would have it. The second time changes nothing.
func (r *run) do(a act, number int64) target.State {
	r.Helper()
	first, err := r.try(a, number, Rotation)
	if err != nil {
		r.Fatalf("turn %d: %v: %v", number, a, err)
	}
	before, had := r.read()
	again, err := r.try(a, number, Rotation)
	if err != nil {
		r.Fatalf("turn %d: %v a second time: %v", number, a, err)
	}
	if !first.Changed.Equal(again.Changed) || first.Location != again.Location || first.Version != again.Version || first.Turn != again.Turn {
		r.Errorf("turn %d: %v gives %+v, and %+v a second time", number, a, first, again)
	}
	if after, has := r.read(); after != before || has != had {
		r.Errorf("turn %d: %v a second time changed what readers see", number, a)
	}
	return again
}

// refused does an act that must fail with one of kinds.
func (r *run) refused(what string, a act, number int64, rotation string, kinds ...errs.Kind) {
	r.Helper()
	before, had := r.read()
	_, err := r.try(a, number, rotation)
	ok := false
	for _, kind := range kinds {
		ok = ok || errs.Is(err, kind)
	}
	if !ok {
		r.Errorf("%s: %v of turn %d: %v (%v), want one of %v", what, a, number, err, errs.KindOf(err), kinds)
	}
	if after, has := r.read(); after != before || has != had {
		r.Errorf("%s: the refused %v of turn %d changed what readers see", what, a, number)
	}
	if rotation != Rotation && err != nil && !strings.Contains(err.Error(), Rotation) {
		r.Errorf("%s: %v: %v does not name who turns it", what, a, err)
	}
}

func (r *run) read() (Credential, bool) {
	r.Helper()
	c, ok := r.Read(r.T)
	if ok && c.Secret != "" {
		r.secrets = append(r.secrets, c.Secret)
	}
	return c, ok
}

// works checks whether a credential does.
func (r *run) works(when string, c Credential, want bool) {
	r.Helper()
	if c.Secret == "" {
		return
	}
	if got := r.Works(r.T, c); got != want {
		r.Errorf("%s the credential of %q works: %v, want %v", when, c.Public, got, want)
	}
}

// turn goes forward through a whole turn and returns what it left.
func (r *run) turn(number int64) Credential {
	r.Helper()
	for _, a := range allForward {
		r.do(a, number)
	}
	c, ok := r.read()
	if !ok {
		r.Fatalf("nothing is published after turn %d", number)
	}
	return c
}

func (r *run) checkLeaks() {
	texts := append([]string{r.log.String()}, r.told...)
	if r.Logs != nil {
		texts = append(texts, r.Logs())
	}
	pairs := make([]string, 0, 2*len(r.secrets))
	for _, secret := range r.secrets {
		pairs = append(pairs, secret, "SECRET")
	}
	hide := strings.NewReplacer(pairs...) // one pass for all: there are hundreds
	for _, text := range texts {
		if hidden := hide.Replace(text); hidden != text {
			r.Errorf("a secret is told in %q", hidden)
			return
		}
	}
	if len(r.secrets) == 0 {
		r.Error("the suite has seen no secret: it cannot tell whether one is told")
	}
}
