package rollout

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
)

// Config configures a Roller. Client and Live are required; their scheme has
// apps/v1, batch/v1, policy/v1 and core/v1.
type Config struct {
	// Client writes; Live reads from the API server and never from a cache: what
	// was just written must be seen.
	Client client.Client
	Live   client.Reader
	// Cached lists Deployments, StatefulSets and DaemonSets, to see how many are
	// under way in the whole cluster; nil: Live.
	Cached client.Reader
	// ClusterMax workloads are under way at once in each cluster, whoever asked; 20.
	ClusterMax int
	// Keep reports whether an entry of a stamp is meant although the pod template
	// does not use the object; annotations are the workload's. Nil: none is.
	Keep  func(annotations map[string]string, entry string) bool
	Clock clock.PassiveClock
	Log   *slog.Logger
}

// Roller restarts workloads. It is safe for concurrent use, but for one Owner
// one call at a time. It keeps nothing that matters: one that is made anew goes
// on where another ended. A process has one, for all who restart: two of them
// would each count what they see, and together exceed the cluster's budget.
type Roller struct {
	cfg Config
	mu  sync.Mutex
	// counting has a lock for each cluster, held by who looks what is under way there
	// and takes a slot: two lists are never compared with each other.
	counting map[string]chan struct{}
	// memos are by owner: what needs no second look.
	memos map[string]map[types.UID]memo
	// started are restarts that the cache may not have seen yet.
	started map[types.UID]started
	// stuck is since when a workload is seen under way at a generation.
	stuck map[types.UID]sighting
}

// memo is what is remembered of a workload for one owner.
type memo struct {
	wanted string
	done   bool // else: written by us, or seen to wait
	under  bool
}

// New returns a Roller.
func New(cfg Config) *Roller {
	if cfg.ClusterMax == 0 {
		cfg.ClusterMax = 20
	}
	if cfg.Cached == nil {
		cfg.Cached = cfg.Live
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Roller{
		cfg: cfg, counting: map[string]chan struct{}{}, memos: map[string]map[types.UID]memo{},
		started: map[types.UID]started{}, stuck: map[types.UID]sighting{},
	}
}

// Forget lets go of an owner that will not ask again.
func (r *Roller) Forget(owner string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.memos, owner)
}

// Roll looks how far the workloads of q are, restarts as many of those that
// need it as may be under way, and does not wait for them. Ask again when
// something changes, and after some seconds.
//
// An error says what could not be asked or written: the items concerned are
// Waiting with the same message, the others are as they are.
func (r *Roller) Roll(ctx context.Context, q Request) (Progress, error) {
	p := r.newPass(q)
	p.look(ctx)
	p.begin(ctx)
	return p.end()
}

// Look says how far the workloads of q are, and writes nothing. Errors are
// those of Roll.
func (r *Roller) Look(ctx context.Context, q Request) (Progress, error) {
	p := r.newPass(q)
	p.looking = true
	p.look(ctx)
	return p.end()
}

func (r *Roller) newPass(q Request) *pass {
	q.Method = cmp.Or(q.Method, v1alpha1.RolloutTemplate)
	q.MaxConcurrent = cmp.Or(q.MaxConcurrent, defaultConcurrent)
	q.Deadline = cmp.Or(q.Deadline, defaultDeadline)
	return &pass{Roller: r, q: q, memos: r.recall(q), views: make([]view, len(q.Workloads)), remotes: map[string]func() (access, error){}}
}

// end remembers what was seen.
func (p *pass) end() (Progress, error) {
	p.remember(p.q, p)
	return p.progress()
}

func (p *pass) progress() (Progress, error) {
	progress := Progress{Items: make([]Item, len(p.views))}
	var all []error
	for i, v := range p.views {
		progress.Items[i] = v.Item
		all = append(all, v.err)
	}
	return progress, errors.Join(all...)
}

// pass is one call of Roll or Look.
type pass struct {
	*Roller
	q       Request
	memos   map[types.UID]memo // as they were
	views   []view
	looking bool // nothing is written

	reaching sync.Mutex
	remotes  map[string]func() (access, error) // by name, each reached once
}

// view is what is known of one workload in a pass.
type view struct {
	Item
	wanted Stamp
	// candidate: it is to be restarted when there is a slot. Live is what it is, nil
	// when it was not read in this pass.
	candidate bool
	live      *workload
	at        string // the id of its cluster; empty for our own
	err       error
}

const lookers = 8

func (p *pass) look(ctx context.Context) {
	var g errgroup.Group
	g.SetLimit(lookers)
	for i := range p.q.Workloads {
		w := &p.q.Workloads[i]
		p.views[i] = view{Item: Item{Object: w.Object}, wanted: p.q.Wanted(w.Object)}
		g.Go(func() error {
			p.lookAt(ctx, w, &p.views[i])
			return nil
		})
	}
	_ = g.Wait() // its functions return no error
}

func (v *view) is(s State, message string) {
	v.State, v.Message, v.Turn, v.Blind = s, message, false, false
}

// queues says that v is to be restarted, and that it waits for others.
func (v *view) queues(message string) { v.State, v.Message, v.Turn = Waiting, message, true }

func (v *view) failed(doing string, err error) {
	v.err = errs.Newf(errs.Unavailable, "%s %s: %w", doing, describe(v.Object), err)
	v.is(Waiting, "cannot be asked just now: "+err.Error())
	v.Blind = true
}

func (p *pass) lookAt(ctx context.Context, w *consumer.Workload, v *view) {
	if why := p.alone(w, v); why != "" {
		v.is(Skipped, why)
		return
	}
	if p.remembered(w, v) {
		return
	}
	c, err := p.cluster(ctx, w.Cluster)
	if err != nil {
		v.failed("reaching", err)
		return
	}
	v.at = c.id
	switch w.Kind.Kind {
	case "Pod":
		p.barePod(ctx, c, v)
	case "Job":
		p.job(ctx, c, v)
	default:
		p.owner(ctx, c, v)
	}
}

// alone says why a workload is left alone; "" when it is not.
func (p *pass) alone(w *consumer.Workload, v *view) string {
	switch {
	case len(v.wanted) == 0:
		return "uses nothing that changed"
	case p.q.Method == v1alpha1.RolloutNone:
		return "nothing is restarted: the method is None"
	case !p.q.Force && (w.Reload == ReloadNone || w.Reload == ReloadSignal):
		return "reloads by itself: " + AnnotationReload + " is " + w.Reload
	}
	return ""
}

// remembered says how far v is without a read, where a look before this and what
// the caller knows are enough.
func (p *pass) remembered(w *consumer.Workload, v *view) bool {
	m := p.memos[w.UID]
	if m.wanted != v.wanted.String() || p.q.Method != v1alpha1.RolloutTemplate {
		return false
	}
	has := ParseStamp(w.Stamp).Has(v.wanted)
	switch {
	case m.done:
		v.is(Done, "")
		return has
	case m.under || has || !w.Rolls || w.Paused:
		return false
	}
	v.candidate = true // read when there is a slot
	v.queues("waits for its turn")
	return true
}

// begin restarts candidates while there are slots.
func (p *pass) begin(ctx context.Context) {
	under, broken := 0, ""
	for _, v := range p.views {
		switch v.State {
		case Rolling:
			under++
		case Failed:
			broken = describe(v.Object)
		}
	}
	for i := range p.views {
		v := &p.views[i]
		if !v.candidate {
			continue
		}
		switch {
		case broken != "":
			v.queues("not begun: " + broken + " failed")
			continue
		case under >= p.q.MaxConcurrent && !v.midway():
			v.queues("waits for its turn: as many as may be are under way")
			continue
		}
		p.start(ctx, v)
		if v.State == Rolling {
			under++
		}
	}
}

func (p *pass) start(ctx context.Context, v *view) {
	c, err := p.cluster(ctx, v.Cluster)
	if err != nil {
		v.failed("reaching", err)
		return
	}
	if v.live == nil {
		if v.live, err = read(ctx, c, v.Object); err != nil {
			v.unread(err)
			return
		}
		p.judge(ctx, c, v)
		if !v.candidate {
			return
		}
	}
	if p.blocked(ctx, c, v) {
		return
	}
	release, ok := p.reserve(ctx, c, v)
	if !ok {
		return
	}
	generation, err := p.restart(ctx, c, v)
	release(generation, err == nil)
	if err != nil {
		v.failed("restarting", err)
	}
}

func (v *view) midway() bool { return v.live != nil && v.live.midway() }

func (r *Roller) recall(q Request) map[types.UID]memo {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.memos[q.Owner]
}

func (r *Roller) remember(q Request, p *pass) {
	memos := make(map[types.UID]memo, len(p.views))
	for i, v := range p.views {
		if v.err == nil && len(v.wanted) > 0 {
			under := v.State == Rolling || v.State == Failed
			memos[q.Workloads[i].UID] = memo{v.wanted.String(), v.State == Done, under}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.memos[q.Owner] = memos
	if q.Method != v1alpha1.RolloutEvict {
		return
	}
	for _, v := range p.views { // no generation tells of those
		if v.live == nil {
			continue
		}
		uid := uidAt(v.at, v.live.UID)
		if delete(r.started, uid); v.State == Rolling {
			r.started[uid] = started{v.at, math.MaxInt64, r.cfg.Clock.Now()}
		}
	}
}

// access is how a cluster is read and written. id is the same for all who reach
// it; empty for our own. lists is where what is under way is counted.
type access struct {
	client.Client
	live, lists client.Reader
	id          string
}

func (r *Roller) own() access { return access{r.cfg.Client, r.cfg.Live, r.cfg.Cached, ""} }

// cluster returns how to reach a cluster of the request: asked for once a pass,
// however many workloads are there.
func (p *pass) cluster(ctx context.Context, name string) (access, error) {
	if name == "" {
		return p.own(), nil
	}
	if p.q.Remote == nil {
		return access{}, errs.Newf(errs.Unsupported, "workloads of cluster %q are not restarted from here: restart them there", name)
	}
	p.reaching.Lock()
	reach := p.remotes[name]
	if reach == nil {
		reach = sync.OnceValues(func() (access, error) {
			c, id, err := p.q.Remote(ctx, name)
			return access{c, c, c, id}, err
		})
		p.remotes[name] = reach
	}
	p.reaching.Unlock()
	return reach()
}

// late returns whether a restart written at v.Since is over its deadline.
func (p *pass) late(v *view) bool {
	since := v.Since
	if p.q.Since.After(since) {
		since = p.q.Since
	}
	return !since.IsZero() && p.cfg.Clock.Since(since) > p.q.Deadline
}

// Values of AnnotationReload.
const (
	AnnotationReload = "strongkeep.io/reload"
	ReloadRestart    = "restart"
	ReloadSignal     = "signal"
	ReloadNone       = "none"
	ReloadAuto       = "auto"
)
