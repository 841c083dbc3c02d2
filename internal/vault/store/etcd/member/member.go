package member

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/client/pkg/v3/types"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/config"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/etcdhttp"
	"go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.etcd.io/etcd/server/v3/features"
	"go.uber.org/zap"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/handover"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/identity"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/journal"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/lock"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/peer"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/relay"
)

type clientMember = pb.Member

var (
	errUnhealthy = rpctypes.ErrUnhealthy
	errNotEnough = rpctypes.ErrMemberNotEnoughStarted
)

// is compares by etcd's own code and text.
func is(err, want error) bool { return errors.Is(rpctypes.Error(err), want) }

func idText(id uint64) string { return strconv.FormatUint(id, 16) }

// Member is a running node. Its methods may be called by any number of goroutines.
type Member struct {
	cfg      Config
	zap      *zap.Logger
	identity *identity.Identity
	caller   peer.Caller
	patient  peer.Caller // for what takes long
	http     *http.Server
	peer     atomic.Pointer[http.Handler] // etcd's own
	port     *relay.Port
	route    *relay.Router
	client   *clientv3.Client // the router's
	kv       *handover.KV     // the client's
	unlock   func()           // the directory; nil until it is locked

	server atomic.Pointer[etcdserver.EtcdServer] // nil until etcd has read its file
	own    *clientv3.Client                      // of server, set before it

	shrinking sync.Mutex // held while the file is defragmented, and from Close on

	ctx     context.Context // ends with Close
	stop    context.CancelFunc
	done    sync.WaitGroup
	start   sync.WaitGroup // takePart
	lost    chan struct{}  // closed when etcd ended by itself, or did not start
	closing sync.Once
	lingers atomic.Bool // Close has waited for another node
	said    journal.Sparse

	mu     sync.Mutex
	record record
	broken error // why it is lost
	waits  error // what the own member waits for
}

// Open starts this node and returns when its client can read and write: by its own member,
// once that sees a leader, which may take until the other nodes are there; or before, while that
// starts, by another. Kinds: Invalid (the configuration, or a directory that a
// person has to look at), Conflict (another process uses it), Unavailable (ctx ended first, the
// port is taken, the disk failed).
func Open(ctx context.Context, cfg Config) (_ *Member, err error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	m := &Member{cfg: cfg, zap: journal.New(cfg.Log), port: relay.NewPort(), lost: make(chan struct{})}
	m.ctx, m.stop = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	if err := m.begin(); err != nil {
		return nil, err
	}
	if err := m.listen(); err != nil {
		return nil, err
	}
	p, err := m.found(ctx)
	if err != nil {
		return nil, err
	}
	m.route.Search()
	m.start.Go(func() { m.takePart(p) })
	return m, m.await(ctx)
}

// begin makes all of a member but etcd.
func (m *Member) begin() (err error) {
	cfg := &m.cfg
	if m.unlock, err = lock.Take(cfg.Dir); err != nil {
		return err
	}
	if m.record, err = loadRecord(cfg.Dir, cfg.Name); err != nil {
		return err
	}
	if m.identity, err = identity.New(cfg.Key, filepath.Join(cfg.Dir, "tls"), cfg.Name, hostOf(cfg.own()), cfg.Now); err != nil {
		return err
	}
	m.done.Go(func() { m.identity.Keep(m.ctx, cfg.Log) })
	m.caller, m.patient = peer.NewCaller(m.identity, peer.Patience), peer.NewCaller(m.identity, shrinkFor)
	var others []string
	for _, p := range cfg.others() {
		others = append(others, p.URL)
	}
	m.route = relay.New(relay.Config{Others: others, TLS: m.identity.Client(), Fit: m.fit, Among: m.among, Log: cfg.Log})
	m.client = m.route.Client()
	m.kv = handover.New(m.client.KV)
	m.client.KV = m.kv
	return nil
}

// listen opens the port on which members meet. Connections that stall are ended as etcd
// ends them: its streams have a sign of life more often.
func (m *Member) listen() error {
	l, err := transport.NewListenerWithOpts(m.cfg.Listen, "http", transport.WithTimeout(rafthttp.ConnReadTimeout, rafthttp.ConnWriteTimeout))
	if err != nil {
		return errs.Newf(errs.Unavailable, "listening for other members on %s: %w; does this node's server run already?", m.cfg.Listen, err)
	}
	m.http = &http.Server{
		Handler: m.handler(), TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){relay.Protocol: m.port.Take}, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: peer.MaxBody,
		ErrorLog: slog.NewLogLogger(m.cfg.Log.Handler(), slog.LevelDebug),
	}
	secure := tls.NewListener(l, m.identity.Server(relay.Protocol))
	m.done.Go(func() { _ = m.http.Serve(secure) }) // until Close
	return nil
}

// takePart runs etcd here, and has the client's calls go to it once it has caught up. It returns
// when it does, when it cannot, or with Close.
func (m *Member) takePart(p plan) {
	err := m.run(p)
	if err == nil {
		err = m.catchUp()
	}
	switch {
	case m.ctx.Err() != nil:
	case err != nil:
		m.lose(err)
	default:
		m.route.Own(m.own, m.server.Load())
		m.done.Go(m.tend)
	}
}

// run has etcd read its file, which takes seconds where there is much in it, and start.
func (m *Member) run(p plan) error {
	own, err := types.NewURLs([]string{m.cfg.own().URL})
	if err != nil {
		return errs.Newf(errs.Invalid, "the address of this node: %w", err)
	}
	if m.cfg.starting != nil {
		m.cfg.starting()
	}
	s, err := etcdserver.NewServer(m.etcdConfig(p, own))
	if err != nil {
		return m.unstarted(err)
	}
	s.Start()
	m.own = v3client.New(s)
	m.server.Store(s)
	m.done.Go(m.mind)
	h := etcdhttp.NewPeerHandler(m.zap, s)
	m.peer.Store(&h)
	m.port.Serve(s)
	return m.write(func(r *record) { r.Started = true })
}

// etcdConfig is etcd's own, with its defaults where nothing is said of a field.
func (m *Member) etcdConfig(p plan, own types.URLs) config.ServerConfig {
	urls := p.urls
	if urls == nil {
		urls = types.URLsMap{m.cfg.Name: own}
	}
	return config.ServerConfig{
		Name: m.cfg.Name, DataDir: dataDir(m.cfg.Dir), PeerURLs: own,
		InitialPeerURLsMap: urls, InitialClusterToken: p.cluster, NewCluster: p.form,
		PeerTLSInfo: m.identity.Etcd(), Logger: m.zap,
		SnapshotCount: m.cfg.MaySnap, SnapshotCatchUpEntries: etcdserver.DefaultSnapshotCatchUpEntries, MaxSnapFiles: 2, MaxWALFiles: 5,
		TickMs: uint(m.cfg.Heartbeat.Milliseconds()), ElectionTicks: 10, InitialElectionTickAdvance: true, PreVote: true,
		QuotaBackendBytes: m.cfg.Quota, MaxTxnOps: maxOps, MaxRequestBytes: 3 << 19, StrictReconfigCheck: true, MaxLearners: 1,
		WarningApplyDuration: time.Second, WarningUnaryRequestDuration: time.Second,
		AuthToken: "simple", BcryptCost: 10, TokenTTL: 300, WatchProgressNotifyInterval: 10 * time.Minute, DowngradeCheckTime: 5 * time.Second,
		V2Deprecation: config.V2DeprDefault, ServerFeatureGate: features.NewDefaultServerFeatureGate(m.cfg.Name, m.zap), Metrics: "basic",
	}
}

// catchUp returns when the own member has answered a read that a majority confirmed.
func (m *Member) catchUp() error {
	var said time.Time
	for {
		asking, cancel := context.WithTimeout(m.ctx, peer.Patience)
		err := m.server.Load().LinearizableReadNotify(asking)
		cancel()
		if err == nil {
			return nil
		}
		m.mu.Lock()
		m.waits = err
		m.mu.Unlock()
		if time.Since(said) > sayEvery {
			said = time.Now()
			m.cfg.Log.Warn("this node waits for a majority of the cluster", "members", len(m.server.Load().Cluster().Members()), "reason", err)
		}
		select {
		case <-m.lost:
			return m.Err()
		default:
		}
		if !pause(m.ctx, askEvery) {
			return err
		}
	}
}

// await returns when calls can be made.
func (m *Member) await(ctx context.Context) error {
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	m.done.Go(func() {
		select {
		case <-m.lost:
			cancel()
		case <-asking.Done():
		}
	})
	if err := m.route.Ready(asking); err == nil {
		return nil
	}
	if ctx.Err() == nil {
		return m.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return errs.Newf(errs.Unavailable, "waiting for a majority of the cluster: %w", cmp.Or(m.waits, ctx.Err()))
}

// mind notices that etcd ended by itself.
func (m *Member) mind() {
	select {
	case <-m.server.Load().StopNotify():
		select {
		case <-m.ctx.Done():
		default:
			m.lose(errs.Newf(errs.Unavailable, "this node was removed from the cluster, or its etcd ended; if it was removed and is to come back, empty %s and start it again", m.cfg.Dir))
		}
	case <-m.ctx.Done():
	}
}

// lose says why this node is no member any more; the first reason counts.
func (m *Member) lose(why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return
	}
	m.broken = why
	m.cfg.Log.Error("this node is no member any more", "error", why)
	close(m.lost)
}

// Lost is closed when this node was removed from the cluster, or etcd ended by itself or did not start. A nil
// Member is never lost.
func (m *Member) Lost() <-chan struct{} {
	if m == nil {
		return nil
	}
	return m.lost
}

// Err says what a lost member's server can say.
func (m *Member) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.broken
}

// running reports whether etcd runs here.
func (m *Member) running() bool { return m.server.Load() != nil }

// write changes the record, durably.
func (m *Member) write(change func(*record)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.record
	change(&r)
	if err := r.save(m.cfg.Dir); err != nil {
		return err
	}
	m.record = r
	return nil
}

// Close stops this node; if it leads, another member does first. The others go on. Etcd cannot be
// stopped while it reads its file: then Close takes as long.
func (m *Member) Close() error {
	m.closing.Do(func() {
		if m.TakesPart() {
			m.linger()
		}
		if m.running() && m.Health().Leader && m.voters() > 1 {
			if err := m.handOver(context.Background()); err != nil {
				m.cfg.Log.Warn("handing over leadership at the end", "error", err)
			}
		}
		m.stop()
		m.start.Wait()
		m.shrinking.Lock() // for good
		if m.route != nil {
			m.route.Close()
		}
		if m.port != nil {
			m.port.Stop()
		}
		if m.own != nil {
			_ = m.own.Close()
		}
		if s := m.server.Load(); s != nil {
			s.Stop()
		}
		if m.http != nil {
			_ = m.http.Close()
		}
		m.done.Wait()
		if m.unlock != nil {
			m.unlock()
		}
	})
	return nil
}
