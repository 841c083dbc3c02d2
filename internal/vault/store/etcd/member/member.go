package member

import (
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
	caller   caller
	patient  caller // for what takes long
	http     *http.Server
	peer     atomic.Pointer[http.Handler] // etcd's own
	server   *etcdserver.EtcdServer       // under mu until Open returns
	client   *clientv3.Client
	kv       *handover.KV // the client's
	unlock   func()       // the directory; nil until it is locked

	shrinking sync.Mutex // held while the file is defragmented, and from Close on

	ctx     context.Context // ends with Close
	stop    context.CancelFunc
	done    sync.WaitGroup
	lost    chan struct{} // closed when etcd ended by itself
	closing sync.Once

	mu     sync.Mutex
	record record
}

// Open starts this node and returns when it is a member that sees a leader; that may take
// until the other nodes are there. Kinds: Invalid (the configuration, or a directory that a
// person has to look at), Conflict (another process uses it), Unavailable (ctx ended first, the
// port is taken, the disk failed).
func Open(ctx context.Context, cfg Config) (_ *Member, err error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	m := &Member{cfg: cfg, zap: newLogger(cfg.Log), lost: make(chan struct{})}
	m.ctx, m.stop = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	if m.unlock, err = lockDir(cfg.Dir); err != nil {
		return nil, err
	}
	if m.record, err = loadRecord(cfg.Dir, cfg.Name); err != nil {
		return nil, err
	}
	if m.identity, err = identity.New(cfg.Key, filepath.Join(cfg.Dir, "tls"), cfg.Name, cfg.own().host(), cfg.Now); err != nil {
		return nil, err
	}
	m.done.Go(func() { m.identity.Keep(m.ctx, m.cfg.Log) })
	m.caller, m.patient = newCaller(m.identity, askFor), newCaller(m.identity, shrinkFor)
	if err := m.listen(); err != nil {
		return nil, err
	}
	p, err := m.found(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.start(p); err != nil {
		return nil, err
	}
	if err := m.await(ctx); err != nil {
		return nil, err
	}
	m.done.Go(m.tend)
	return m, nil
}

// listen opens the port on which members meet. Connections that stall are ended as etcd
// ends them: its streams have a sign of life more often.
func (m *Member) listen() error {
	l, err := transport.NewListenerWithOpts(m.cfg.Listen, "http", transport.WithTimeout(rafthttp.ConnReadTimeout, rafthttp.ConnWriteTimeout))
	if err != nil {
		return errs.Newf(errs.Unavailable, "listening for other members on %s: %w; does this node's server run already?", m.cfg.Listen, err)
	}
	m.http = &http.Server{
		Handler: m.handler(), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: maxBody,
		ErrorLog: slog.NewLogLogger(m.cfg.Log.Handler(), slog.LevelDebug),
	}
	secure := tls.NewListener(l, m.identity.Server())
	m.done.Go(func() { _ = m.http.Serve(secure) }) // until Close
	return nil
}

func (m *Member) start(p plan) error {
	own, err := types.NewURLs([]string{m.cfg.own().URL})
	if err != nil {
		return errs.Newf(errs.Invalid, "the address of this node: %w", err)
	}
	s, err := etcdserver.NewServer(m.etcdConfig(p, own))
	if err != nil {
		return m.unstarted(err)
	}
	s.Start()
	m.mu.Lock()
	m.server, m.client = s, v3client.New(s)
	m.kv = handover.New(m.client.KV)
	m.client.KV = m.kv
	m.mu.Unlock()
	h := etcdhttp.NewPeerHandler(m.zap, s)
	m.peer.Store(&h)
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

// await returns when a majority has answered a read.
func (m *Member) await(ctx context.Context) error {
	m.done.Go(m.mind)
	var said time.Time
	for {
		asking, cancel := context.WithTimeout(ctx, askFor)
		err := m.server.LinearizableReadNotify(asking)
		cancel()
		if err == nil {
			return nil
		}
		if time.Since(said) > sayEvery {
			said = time.Now()
			m.cfg.Log.Warn("this node waits for a majority of the cluster", "members", len(m.server.Cluster().Members()), "reason", err)
		}
		select {
		case <-m.lost:
			return m.Err()
		default:
		}
		if !pause(ctx, askEvery) {
			return errs.Newf(errs.Unavailable, "waiting for a majority of the cluster: %w", err)
		}
	}
}

// mind notices that etcd ended by itself.
func (m *Member) mind() {
	select {
	case <-m.server.StopNotify():
		select {
		case <-m.ctx.Done():
		default:
			m.cfg.Log.Error("this node is no member any more", "error", m.Err())
			close(m.lost)
		}
	case <-m.ctx.Done():
	}
}

// Lost is closed when this node was removed from the cluster, or etcd ended by itself. A nil
// Member is never lost.
func (m *Member) Lost() <-chan struct{} {
	if m == nil {
		return nil
	}
	return m.lost
}

// Err says what a lost member's server can say.
func (m *Member) Err() error {
	return errs.Newf(errs.Unavailable, "this node was removed from the cluster, or its etcd ended; if it was removed and is to come back, empty %s and start it again", m.cfg.Dir)
}

func (m *Member) running() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.client != nil
}

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

// Close stops this node; if it leads, another member does first. The others go on.
func (m *Member) Close() error {
	m.closing.Do(func() {
		if m.server != nil && m.Health().Leader && m.voters() > 1 {
			if err := m.handOver(context.Background()); err != nil {
				m.cfg.Log.Warn("handing over leadership at the end", "error", err)
			}
		}
		m.stop()
		m.shrinking.Lock() // for good
		if m.client != nil {
			_ = m.client.Close()
		}
		if m.server != nil {
			m.server.Stop()
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
