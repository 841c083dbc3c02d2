package turn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/configure"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/meter"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/rewrite"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

// proven fails if a value is under an older version, now or later, whatever API servers do.
func (c *cluster) proven(s *State) {
	c.Helper()
	if s == nil || !s.Proven || s.Evidence.Left != 0 {
		c.Fatalf("it is not proven: %+v", s)
	}
	known := c.known()
	c.pass(10 * time.Minute)
	for _, v := range known[:len(known)-1] {
		if n := c.under(v.KeyID); n > 0 {
			c.Errorf("it was proven, and %d values are under version %s", n, v.ID)
		}
	}
	if c.under(known[len(known)-1].KeyID) == 0 {
		c.Error("nothing is under the newest version")
	}
	if told, err := json.Marshal(s); err != nil || strings.Contains(string(told), canary) {
		c.Errorf("the state tells a value, or: %v", err)
	}
}

// A key is turned from its making to the proof, and again.
func TestTurn(t *testing.T) {
	c := newCluster(t)
	for turn := range 2 {
		c.cfg.New = true
		s, err := Run(t.Context(), c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		c.proven(s)
		if c.versions != turn+1 || s.Rewritten == nil {
			t.Errorf("%d versions were made, %+v", c.versions, s.Rewritten)
		}
		for _, step := range s.Steps {
			if step.State != "done" {
				t.Errorf("%+v", step)
			}
		}
		old, _ := s.Old()
		if len(old) != turn+1 || *old[0].Values != 0 || len(old[turn].Retire) == 0 || s.Versions[0].Role != New || s.Versions[0].Retire != nil {
			t.Errorf("%+v", s.Versions)
		}
		if turn == 1 && (!strings.HasPrefix(old[0].Retire[0], "nothing: ") || !strings.Contains(old[1].Retire[0], "take key "+old[1].ID+" out of it (line 2,")) {
			t.Error(old[0].Retire, old[1].Retire)
		}
		c.cfg.New = false
		if s, err = Run(t.Context(), c.cfg); err != nil || s.Rewritten != nil {
			t.Fatalf("what is done is done again: %+v, %v", s, err)
		}
		c.proven(s)
	}
}

// errKilled ends a run as a kill does: nothing of it goes on.
var errKilled = errors.New("killed")

// until runs until the so-manieth step, and reports whether it came so far.
func (c *cluster) until(n int) (s *State, killed bool, err error) {
	cfg := c.cfg
	cfg.step = func(string) {
		if n--; n < 0 {
			panic(errKilled)
		}
	}
	c.cfg.step = cfg.step
	defer func() {
		if p := recover(); p != nil && !errors.Is(p.(error), errKilled) {
			panic(p)
		} else if p != nil {
			killed = true
		}
	}()
	s, err = Run(c.Context(), cfg)
	return s, false, err
}

// Killed between any two things that it does, the next run goes on, and never makes
// another version.
func TestKilled(t *testing.T) {
	for n := 0; ; n++ {
		c := newCluster(t)
		c.cfg.New = true
		_, killed, err := c.until(n)
		if err != nil {
			t.Fatal(err)
		}
		c.cfg.New = c.versions == 0
		s, again, err := c.until(1 << 30)
		if err != nil || again {
			t.Fatalf("after a kill at step %d: %v", n, err)
		}
		c.proven(s)
		if c.versions != 1 {
			t.Errorf("killed at step %d: %d versions were made", n, c.versions)
		}
		if !killed {
			if n < 8 {
				t.Errorf("it has %d steps only", n)
			}
			return
		}
	}
}

// Whatever API servers do, and whenever it is killed: what is proven stays so, and one
// version is made.
func TestManyWorlds(t *testing.T) {
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 7))
		c := newCluster(t)
		for i := range random.IntN(3) {
			c.add(&server{id: fmt.Sprintf("more-%d", i), hash: "sha256:cc", offset: time.Duration(random.IntN(6)) * 10 * time.Second})
		}
		c.pass(2 * time.Minute)
		for _, s := range c.servers[1:] { // the first one has to rewrite
			s.stuck = random.IntN(3) == 0
			if random.IntN(4) == 0 {
				s.reloaded = c.now.Add(-time.Duration(random.IntN(90)) * time.Second)
			}
		}
		for kills := random.IntN(4); ; kills-- {
			c.cfg.New = c.versions == 0
			at := 1 << 30
			if kills > 0 {
				at = random.IntN(40)
			}
			s, killed, err := c.until(at)
			if killed {
				c.pass(time.Duration(random.IntN(20)) * 30 * time.Second)
				continue
			}
			if errs.Is(err, errs.Conflict) && c.versions == 0 && strings.Contains(err.Error(), "since") {
				c.pass(2 * time.Minute) // a reload before the turn
				continue
			}
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			c.proven(s)
			break
		}
		if c.versions != 1 {
			t.Errorf("seed %d: %d versions were made", seed, c.versions)
		}
	}
}

// An API server that cannot encrypt a new seed writes under the key id before for three
// minutes: it is waited for that.
func TestSeedsThatEndLate(t *testing.T) {
	c := newCluster(t)
	c.servers[1].stuck = true
	c.turn()
	var said []string
	c.cfg.Say = func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	s, err := Run(t.Context(), c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.proven(s)
	if all := strings.Join(said, "\n"); !strings.Contains(all, "plugins turn to version") || !strings.Contains(all, "may write under the key id before until") || !strings.Contains(all, "rewriting secrets") {
		t.Errorf("said:\n%s", all)
	}
}

// Where one looks only, it is said where it stands, and nothing is done.
func TestLookOnly(t *testing.T) {
	c := newCluster(t)
	c.cfg.LookOnly, c.cfg.New = true, true
	c.cfg.rewrite = func(context.Context, rewrite.Config) (*rewrite.Report, error) {
		t.Error("it rewrites")
		return nil, errKilled
	}
	states := func(c *cluster) string {
		t.Helper()
		s, err := Run(t.Context(), c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, step := range s.Steps {
			all = append(all, step.State)
		}
		return strings.Join(all, ", ")
	}
	if got := states(c); got != "done, done, done, done, done" || c.versions != 0 {
		t.Errorf("before a turn: %s, %d versions were made", got, c.versions)
	}
	c.turn()
	if got := states(c); got != "done, waits, later, later, later" {
		t.Errorf("right after it: %s", got)
	}
	c.pass(4 * time.Minute)
	if got := states(c); got != "done, done, waits, later, later" {
		t.Errorf("when all are told: %s", got)
	}
	c.pass(4 * time.Minute)
	if got := states(c); got != "done, done, done, next, later" {
		t.Errorf("when seeds have ended: %s", got)
	}
	c.cfg.Stored = nil
	if got := states(c); got != "done, done, done, not checked, not checked" {
		t.Errorf("without etcd: %s", got)
	}
}

// Each step is refused while the one before is not true.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*cluster)
		kind   errs.Kind
		want   string
	}{
		"no etcd":          {func(c *cluster) { c.cfg.Stored = nil }, errs.Invalid, "say where it is"},
		"a wildcard":       {func(c *cluster) { c.cfg.Resources = []string{"*.*"} }, errs.Invalid, "no wildcards"},
		"no backups":       {func(c *cluster) { c.cfg.Backups = c.path }, errs.NotExist, "no directory"},
		"amid a turn":      {func(c *cluster) { c.turn(); c.cfg.New = true }, errs.Conflict, "is under way (the plugin"},
		"amid a rewrite":   {func(c *cluster) { c.turn(); c.pass(10 * time.Minute); c.cfg.New = true }, errs.Conflict, "finish it first"},
		"no turner":        {func(c *cluster) { c.cfg.New, c.cfg.Store = true, guided{c.cfg.Store} }, errs.Unsupported, "made by: make it by hand"},
		"another key":      {func(c *cluster) { c.servers[1].told = map[string]time.Time{"x": c.now} }, errs.Conflict, "none of this key's versions"},
		"all have another": {func(c *cluster) { c.servers[0].told, c.servers[1].told = map[string]time.Time{"x": c.now}, nil }, errs.Conflict, "no API server tells a key id"},
		"a mute one":       {func(c *cluster) { c.servers[1].mute = true }, errs.Unavailable, "does not tell which key"},
		"a silent plugin": {func(c *cluster) {
			c.servers[1].told = map[string]time.Time{c.known()[0].KeyID: c.now.Add(-6 * time.Minute)}
		}, errs.Conflict, "last at"},
		"another file":    {func(c *cluster) { c.servers[1].hash = "sha256:dd" }, errs.Conflict, "different EncryptionConfigurations"},
		"no file":         {func(c *cluster) { c.servers[0].hash, c.servers[1].hash = "", "" }, errs.Conflict, "no hash"},
		"one not named":   {func(c *cluster) { c.cfg.Servers = c.cfg.Servers[:1] }, errs.Conflict, "name each with -server"},
		"another etcd":    {func(c *cluster) { delete(c.values, "/registry/leases/kube-system/server-0") }, errs.Conflict, "not the etcd"},
		"a lost version":  {func(c *cluster) { c.values["/registry/secrets/a/lost"] = sealed("strongkeep", "gone") }, errs.Conflict, "no version of the key opens: 1 of secrets under kms-v2/strongkeep gone"},
		"a broken value":  {func(c *cluster) { c.values["/registry/secrets/a/lost"] = "k8s:enc:kms:v2:strongkeep:x" }, errs.Conflict, "no version of the key opens"},
		"others under it": {func(c *cluster) { c.values["/registry/configmaps/a/b"] = sealed("other", c.known()[0].KeyID); c.turn() }, errs.Conflict, "1 of configmaps under kms-v2/other"},
		"another prefix":  {func(c *cluster) { c.values["/other/secrets/a"] = sealed("o", c.known()[0].KeyID); c.turn() }, errs.Conflict, "1 of keys outside under kms-v2/o"},
		"nothing under it": {func(c *cluster) {
			c.cfg.EtcdPrefix = "/registry/leases"
			c.values["/registry/leases/leases/kube-system/server-0"], c.values["/registry/leases/leases/kube-system/server-1"] = "x", "x"
		}, errs.Conflict, "which proves nothing"},
		"not rewritten":      {func(c *cluster) { c.turn(); c.cfg.rewrite = idle }, errs.Conflict, "all is rewritten, and"},
		"in the clear":       {func(c *cluster) { c.values["/registry/secrets/a/clear"] = "k8s\x00" + canary; c.cfg.rewrite = idle }, errs.Conflict, "1 of secrets under clear"},
		"rewriting fails":    {func(c *cluster) { c.turn(); c.cfg.rewrite = failing }, errs.Denied, "no right"},
		"none turns in time": {func(c *cluster) { c.turn(); c.cfg.every = never; c.cfg.Wait = time.Millisecond }, errs.Unavailable, "it goes on where it stands"},
		"an unknown backup":  {func(c *cluster) { c.cfg.Backups, c.cfg.Forget = t.TempDir(), []string{"x"} }, errs.NotExist, "none of the name"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newCluster(t)
			c.change(k)
			s, err := Run(t.Context(), k.cfg)
			if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), canary) {
				t.Errorf("%v; want %v: %s", err, c.kind, c.want)
			}
			for i := range s.versions() {
				if s.Proven && name != "an unknown backup" || s.Versions[i].Retire != nil && !s.Proven {
					t.Errorf("it says what may go: %+v", s.Versions[i])
				}
			}
		})
	}
}

// versions are those of a state that there is.
func (s *State) versions() []Version {
	if s == nil {
		return nil
	}
	return s.Versions
}

// guided is a key store that people turn.
type guided struct{ keystore.Versioned }

func (guided) Next(keystore.History) []string     { return []string{"make it by hand"} }
func (guided) Retire([]string, string) [][]string { return nil }

func idle(context.Context, rewrite.Config) (*rewrite.Report, error) { return &rewrite.Report{}, nil }

func failing(context.Context, rewrite.Config) (*rewrite.Report, error) {
	return nil, errs.New(errs.Denied, "no right")
}

func never() (<-chan time.Time, func()) { return nil, func() {} }

// A rewrite that went on from an earlier one may have skipped what was written too early:
// it is done anew.
func TestResumedRewrite(t *testing.T) {
	c := newCluster(t)
	c.turn()
	var anew []bool
	c.cfg.rewrite = func(ctx context.Context, cfg rewrite.Config) (*rewrite.Report, error) {
		if anew = append(anew, cfg.Anew); !cfg.Anew {
			return &rewrite.Report{Resumed: true}, nil
		}
		return c.rewrite(ctx, cfg)
	}
	s, err := Run(t.Context(), c.cfg)
	if err != nil || len(anew) != 2 || anew[0] || !anew[1] {
		t.Fatalf("%v, %v", anew, err)
	}
	c.proven(s)
}

// after is the cluster's etcd, with what happens right after everything in it was read.
type after struct {
	*cluster
	happens func()
}

func (a after) Read(ctx context.Context, folders []string, visit func(stored.Entry)) (stored.Origin, error) {
	origin, err := a.cluster.Read(ctx, folders, visit)
	if slices.Contains(folders, "/") || slices.Contains(folders, "") {
		a.happens()
	}
	return origin, err
}

// A directory without a snapshot says so, instead of nothing.
func TestNoSnapshots(t *testing.T) {
	c := newCluster(t)
	var said []string
	c.cfg.Backups, c.cfg.Say = t.TempDir(), func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	if s, err := Run(t.Context(), c.cfg); err != nil || !s.Proven || !strings.Contains(strings.Join(said, "\n"), "There is no snapshot of etcd in "+c.cfg.Backups) {
		t.Errorf("%v; said: %q", err, said)
	}
}

// What is read while an API server can write under the seed of before proves nothing,
// though it no longer can when all was read.
func TestReadTooEarly(t *testing.T) {
	c := newCluster(t)
	c.servers[1].stuck = true
	newest := c.turn().KeyID
	for c.servers[1].told[newest].IsZero() {
		c.pass(10 * time.Second)
	}
	if _, err := c.rewrite(t.Context(), rewrite.Config{Resources: c.cfg.Resources}); err != nil {
		t.Fatal(err)
	}
	read := false
	c.cfg.LookOnly = true
	c.cfg.Stored = after{c, func() { read = true; c.pass(10 * time.Minute) }}
	s, err := Run(t.Context(), c.cfg)
	if err != nil || !read || c.under(c.known()[0].KeyID) == 0 {
		t.Fatalf("it was read: %v; %d values were written under the version before; %v", read, c.under(c.known()[0].KeyID), err)
	}
	if last := s.Steps[len(s.Steps)-1]; s.Proven || s.Evidence.Left > 0 || last.State == "done" || !strings.Contains(last.Detail, "run this again") {
		t.Errorf("proven: %v, %d left, %+v", s.Proven, s.Evidence.Left, last)
	}
}

// asked is a key store that something happens with before a question.
type asked struct {
	turner
	before func()
}

func (a asked) History(ctx context.Context) (keystore.History, error) {
	a.before()
	return a.turner.History(ctx)
}

// A configuration that is reloaded between the wait and the reading is a refusal, though
// it has been in force for long when all was read.
func TestReloadedInBetween(t *testing.T) {
	c := newCluster(t)
	questions := 0
	c.cfg.Store = asked{c.cfg.Store.(turner), func() {
		if questions++; questions == 2 {
			c.servers[1].reloaded = c.now
		}
	}}
	c.cfg.Stored = after{c, func() { c.pass(10 * time.Minute) }}
	if s, err := Run(t.Context(), c.cfg); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "when etcd began to be read") || s.Proven {
		t.Errorf("%v", err)
	}
}

// What an API server encrypted right before its seed ended may be on its way to etcd for
// as long as a request may take.
func TestRequestsInFlight(t *testing.T) {
	c := newCluster(t)
	known, now := c.known(), c.now
	for ago, want := range map[time.Duration]Phase{200 * time.Second: Ending, 249 * time.Second: Ending, 251 * time.Second: Settled} {
		at := configure.Server{Reading: meter.Reading{Hash: "sha256:cc", Told: now, Keys: map[string]meter.Key{"p": {Hash: meter.HashOf(known[0].KeyID), At: now, Before: now.Add(-ago)}}}}
		if s, err := Judge(known, []configure.Server{at}); err != nil || s.Phase != want {
			t.Errorf("%s after another key id was told: %+v, %v; want %s", ago, s, err, want)
		}
	}
}

// A configuration or key that changes while etcd is read is a refusal.
func TestChangedMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*cluster)
		want   string
	}{
		"turned again":          {func(c *cluster) { c.turn() }, "turned again meanwhile"},
		"another file":          {func(c *cluster) { c.servers[0].hash, c.servers[1].hash = "sha256:dd", "sha256:dd" }, "changed while etcd was read"},
		"an older version":      {func(c *cluster) { c.servers[1].told[c.known()[0].KeyID] = c.now.Add(time.Second) }, "changed while etcd was read"},
		"a reload":              {func(c *cluster) { c.servers[1].reloaded = c.now }, "changed while etcd was read"},
		"a reload that is over": {func(c *cluster) { c.servers[1].reloaded = c.now; c.pass(10 * time.Minute) }, "changed while etcd was read"},
		"an older version that is over": {func(c *cluster) {
			c.servers[1].told[c.known()[0].KeyID] = c.now.Add(time.Second)
			c.pass(10 * time.Minute)
		}, "changed while etcd was read"},
	} {
		k := newCluster(t)
		k.turn()
		k.pass(10 * time.Minute)
		k.cfg.step = func(what string) {
			if what == "before etcd is read" {
				c.change(k)
			}
		}
		if s, err := Run(t.Context(), k.cfg); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), c.want) || s.Proven {
			t.Errorf("%s: %v; want %s", name, err, c.want)
		}
	}
}
