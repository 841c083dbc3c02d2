package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/feed"
)

// Open connects to etcd and opens the store below cfg.Prefix, or makes an empty
// one. Kinds: Invalid (the configuration, or the prefix holds something else),
// Unavailable (no endpoint can be reached, or another process uses the prefix),
// Unauthenticated and Denied (etcd refuses the user), Unsupported (etcd is
// started with limits that are too small, or a newer version wrote the store).
// What etcd's limits are is found out without writing anything.
func Open(ctx context.Context, cfg Config) (_ *Store, err error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	client, err := cfg.reached(ctx)
	if err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, client: client, keys: newKeys(cfg.Prefix), feed: feed.New(cfg.History, 0), down: make(chan struct{})}
	s.ctx, s.stop = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	rev, err := s.prepare(ctx)
	if err != nil {
		return nil, err
	}
	s.feed.Reset(rev)
	f := &follower{Store: s}
	s.done.Go(func() { f.run(rev) })
	if s.owner != nil {
		s.done.Go(s.owner.keep)
	}
	return s, nil
}

// reached is a client of an etcd that answers and is fit.
func (c *Config) reached(ctx context.Context) (*clientv3.Client, error) {
	if c.Client != nil {
		return c.Client, nil
	}
	secure, err := c.tls()
	if err != nil {
		return nil, err
	}
	if err := c.reach(ctx, secure); err != nil {
		return nil, err
	}
	return c.connect(secure, c.Endpoints)
}

func (c *Config) connect(secure *tls.Config, endpoints []string) (*clientv3.Client, error) {
	client, err := clientv3.New(clientv3.Config{
		Endpoints: endpoints, TLS: secure, Username: c.Username, Password: c.Password.RevealString(),
		DialTimeout: c.Timeout, DialKeepAliveTime: 5 * time.Second, DialKeepAliveTimeout: 3 * time.Second,
		MaxCallSendMsgSize: 16 << 20, // the server's limit counts
		Logger:             zap.NewNop(),
		DialOptions:        []grpc.DialOption{grpc.WithChainUnaryInterceptor(once)},
	})
	if err != nil {
		return nil, c.refusal("connecting to etcd at "+strings.Join(endpoints, ", "), err)
	}
	return client, nil
}

// once has a write sent once. etcd's client takes an answer that says "canceled" or "deadline exceeded"
// for its own, whoever gave it, and repeats the call while its caller waits: a guarded write that was
// made would then be refused for what it wrote itself.
//
//nolint:revive // the shape is of grpc.UnaryClientInterceptor
func once(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoke(ctx, method, req, reply, conn, opts...)
	if code := status.Code(err); code != codes.Canceled && code != codes.DeadlineExceeded || ctx.Err() != nil {
		return err
	}
	if txn, ok := req.(*etcdserverpb.TxnRequest); ok && slices.ContainsFunc(txn.Success, writes) {
		return status.Error(codes.Unavailable, "etcd did not say whether it wrote: "+status.Convert(err).Message())
	}
	return err
}

func writes(op *etcdserverpb.RequestOp) bool { return op.GetRequestRange() == nil }

// refusal gives errors at the start a kind that says what to mend.
func (c *Config) refusal(doing string, err error) error {
	switch {
	case is(err, rpctypes.ErrAuthFailed), is(err, rpctypes.ErrUserEmpty):
		return errs.Newf(errs.Unauthenticated, "%s as user %q: the name or the password is wrong, or none is given: %w", doing, c.Username, err)
	case is(err, rpctypes.ErrPermissionDenied):
		return errs.Newf(errs.Denied, "%s as user %q: it may not read and write below %q; grant it: etcdctl role grant-permission ROLE readwrite --prefix=true %s: %w", doing, c.Username, c.Prefix, c.Prefix, err)
	}
	return failure(doing, err)
}

// What a member of etcd must take, and how to make it.
const (
	needOps   = store.MaxChanges + 1    // and the fence
	needBytes = store.MaxBytes + 64<<10 // and what frames the changes
	moreOps   = "start every member with --max-txn-ops=1024"
	moreBytes = "start every member with --max-request-bytes of at least 1572864, which is its default"
	// grpcSlack is by how much etcd takes longer messages than --max-request-bytes.
	grpcSlack = 512 << 10
)

// examine finds out whether one member takes transactions as large as the
// contract allows. It sends transactions that compare and write nothing: their
// size is checked before anything else is.
func (c *Config) examine(ctx context.Context, endpoint string, secure *tls.Config) error {
	client, err := c.connect(secure, []string{endpoint})
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	// With authentication on, only administrators may ask: then nobody checks.
	if status, err := client.Status(ctx, endpoint); err == nil && tooOld(status.Version) {
		return errs.Newf(errs.Unsupported, "etcd at %s is of version %s; 3.5.8 is the oldest whose watches can be relied on: upgrade it", endpoint, status.Version)
	}
	format := newKeys(c.Prefix).format
	many := make([]clientv3.Cmp, needOps)
	for i := range many {
		many[i] = clientv3.Compare(clientv3.Version(format), ">", -1)
	}
	_, err = client.Txn(ctx).If(many...).Commit()
	switch {
	case is(err, rpctypes.ErrTooManyOps):
		return errs.Newf(errs.Unsupported, "etcd at %s takes too few operations in one transaction, the vault needs %d; %s: %w", endpoint, needOps, moreOps, err)
	case err != nil:
		return c.refusal("examining etcd at "+endpoint, err)
	}
	large := clientv3.Compare(clientv3.Value(format), "=", strings.Repeat("x", needBytes+grpcSlack))
	if _, err = client.Txn(ctx).If(large).Commit(); tooLong(err) {
		return errs.Newf(errs.Unsupported, "etcd at %s takes too small requests, the vault needs %d bytes; %s: %w", endpoint, needBytes, moreBytes, err)
	} else if err != nil {
		return c.refusal("examining etcd at "+endpoint, err)
	}
	return nil
}

// tooOld reports whether a version is older than 3.5.8: those may send a progress
// notification ahead of events that it covers (etcd-io/etcd issue 15220), which
// would make a cache believe what is not true any more.
func tooOld(version string) bool {
	var v [3]int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &v[0], &v[1], &v[2]); err != nil {
		return false // not a release: whoever built it knows
	}
	return slices.Compare(v[:], []int{3, 5, 8}) < 0
}

// prepare makes the store's place below the prefix and returns the revision
// from which it is followed.
func (s *Store) prepare(ctx context.Context) (store.Revision, error) {
	if err := s.checkFormat(ctx); err != nil {
		return 0, err
	}
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	ctx, finish, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer finish()
	rev, err := s.revision(ctx)
	if err == nil {
		s.warnOfHistory(ctx, rev)
	}
	return rev, err
}

// enter claims the prefix, or has it be one of several.
func (s *Store) enter(ctx context.Context) error {
	if !s.cfg.Exclusive {
		return share(ctx, s)
	}
	o, err := claim(ctx, s)
	if err == nil {
		s.owner = o
	}
	return err
}

// format is the version of the layout for one owner at a time.
const format = "1"

func (s *Store) checkFormat(ctx context.Context) error {
	ctx, finish, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer finish()
	here := clientv3.OpGet(s.keys.format)
	first := clientv3.OpGet(s.keys.prefix, clientv3.WithPrefix(), clientv3.WithLimit(1), clientv3.WithKeysOnly())
	r, err := s.client.Txn(ctx).Then(here, first).Commit()
	if err != nil {
		return s.cfg.refusal("opening the store in etcd", err)
	}
	s.cluster = r.Header.ClusterId
	if found := r.Responses[0].GetResponseRange().GetKvs(); len(found) == 1 {
		return s.cfg.fits(string(found[0].Value))
	}
	if other := r.Responses[1].GetResponseRange().GetKvs(); len(other) > 0 {
		return errs.Newf(errs.Invalid, "the prefix %q in etcd holds something that is not strongkeep's, such as %.64q; choose another prefix", s.cfg.Prefix, other[0].Key)
	}
	_, err = s.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(s.keys.format), "=", 0)).
		Then(clientv3.OpPut(s.keys.format, format)).Commit()
	if err != nil {
		return s.cfg.refusal("making the store in etcd", err)
	}
	return nil
}

// longHistory is how many old revisions speak for an etcd that nobody compacts.
const longHistory = 1_000_000

// warnOfHistory looks whether etcd still has very old revisions: nobody
// compacts it then, and it grows until it is out of space.
func (s *Store) warnOfHistory(ctx context.Context, now store.Revision) {
	if now <= longHistory {
		return
	}
	_, err := s.client.Get(ctx, s.keys.format, clientv3.WithKeysOnly(), clientv3.WithRev(int64(now-longHistory)))
	if err == nil {
		s.cfg.Log.Warn("etcd keeps more than a million old revisions, deleted secrets among them; start it with --auto-compaction-retention=1h, say")
	}
}
