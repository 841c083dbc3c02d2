package queue

import (
	"context"
	"math/rand/v2"
	"regexp"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/wire"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
	"github.com/strongkeep/strongkeep/internal/kube/provider/notice"
)

// Config configures a Queue. Login, Address and Clock are required.
type Config struct {
	Login    *login.Keeper
	Endpoint string // Google's own when empty
	Address  string // pubsub:projects/PROJECT/subscriptions/SUBSCRIPTION
	Retry    provider.Retry
	Clock    clock.Clock
}

// Queue is one subscription. It implements notice.Queue.
type Queue struct {
	cfg    Config
	name   string
	conn   *grpc.ClientConn
	client pb.SubscriberClient
	batch  int32 // messages of one call
}

var _ notice.Queue = (*Queue)(nil)

const (
	kind    = "pubsub"
	example = "projects/PROJECT/subscriptions/SUBSCRIPTION"
	// most messages of one call. What is over the bound of an answer comes in smaller ones.
	most = 100
	// shortest is what is worth waiting for: a message that is on its way when the time is
	// over comes again only when the subscription takes it for lost.
	shortest = time.Second
	// pause is how long an empty subscription is left alone that does not wait itself.
	pause = time.Second
)

// names are those of subscriptions by Google's rules, without those that need escapes.
var names = regexp.MustCompile(`^projects/([a-z0-9.-]{1,64}:)?[a-z0-9-]{1,64}/subscriptions/[A-Za-z][A-Za-z0-9._~-]{2,254}$`)

// New returns a Queue. It does not connect. Any project will do: requests go to Google
// whatever the address says.
func New(cfg Config) (*Queue, error) {
	name, err := notice.Cut(cfg.Address, kind, example)
	if err != nil {
		return nil, err
	}
	if !names.MatchString(name) {
		return nil, errs.Newf(errs.Invalid, "%q is no address of a queue: give %s:%s", cfg.Address, kind, example)
	}
	conn, err := wire.Dial("pubsub.googleapis.com", "GCP_PUBSUB_ENDPOINT", cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	return &Queue{cfg: cfg, name: name, conn: conn, client: pb.NewSubscriberClient(conn), batch: most}, nil
}

// Close ends the connection.
func (q *Queue) Close() error { return q.conn.Close() }

// Receive implements notice.Queue. A subscription says that nothing came by not
// answering in time, which an outage does too: so what ends a wait is one call that is
// answered at once.
func (q *Queue) Receive(ctx context.Context, wait time.Duration) ([]notice.Message, error) {
	until := q.cfg.Clock.Now().Add(wait)
	for left := wait; ; left = until.Sub(q.cfg.Clock.Now()) {
		messages, err := q.pull(ctx, left)
		switch {
		case errs.Is(err, errs.TooLarge) && q.batch > 1:
			q.batch = 1
			continue
		case err != nil:
			return nil, err
		case len(messages) > 0:
			q.batch = min(q.batch*2, most)
			return messages, nil
		case left < shortest:
			return nil, nil
		}
		if until.Sub(q.cfg.Clock.Now()) < shortest {
			continue
		}
		timer := q.cfg.Clock.NewTimer(pause/2 + rand.N(pause)) // jitter: not every store at once
		select {
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			return nil, errs.Newf(errs.Unavailable, "reading %s: %w", q.name, ctx.Err())
		}
	}
}

// pull makes one call that lasts no longer than left; what is too short for a wait is
// answered at once.
func (q *Queue) pull(ctx context.Context, left time.Duration) ([]notice.Message, error) {
	req := &pb.PullRequest{Subscription: q.name, MaxMessages: q.batch}
	timeout := left
	if left < shortest {
		timeout = wire.Timeout
		req.ReturnImmediately = true //nolint:staticcheck // deprecated for what it costs Google; it is the only question that is always answered
	}
	out, err := do(ctx, q, timeout, "reading "+q.name, func(ctx context.Context) (*pb.PullResponse, error) {
		out, err := q.client.Pull(ctx, req)
		if left >= shortest && status.Code(err) == codes.DeadlineExceeded {
			return &pb.PullResponse{}, nil
		}
		return out, err
	})
	if err != nil {
		return nil, err
	}
	messages := make([]notice.Message, 0, len(out.GetReceivedMessages()))
	for _, m := range out.GetReceivedMessages() {
		if m.GetAckId() == "" {
			return nil, errs.Newf(errs.Unavailable, "reading %s: the answer is not one of Pub/Sub", q.name)
		}
		messages = append(messages, notice.Message{
			ID: m.GetMessage().GetMessageId(), Receipt: m.GetAckId(), Body: m.GetMessage().GetData(), Attributes: m.GetMessage().GetAttributes(),
		})
	}
	return messages, nil
}

// Ack implements notice.Queue.
func (q *Queue) Ack(ctx context.Context, messages []notice.Message) error {
	receipts := make([]string, len(messages))
	for i := range messages {
		receipts[i] = messages[i].Receipt
	}
	_, err := do(ctx, q, wire.Timeout, "acknowledging messages of "+q.name, func(ctx context.Context) (*emptypb.Empty, error) {
		return q.client.Acknowledge(ctx, &pb.AcknowledgeRequest{Subscription: q.name, AckIds: receipts})
	})
	return err
}

// do makes one call, and says of a refusal what to do.
func do[T any](ctx context.Context, q *Queue, timeout time.Duration, doing string, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, err := wire.Do(ctx, wire.Caller{Login: q.cfg.Login, Retry: q.cfg.Retry, Clock: q.cfg.Clock},
		wire.Call{Doing: doing, Routing: "subscription=" + q.name, Secret: true}, f)
	switch wire.Code(err) {
	case codes.PermissionDenied:
		err = errs.Newf(errs.Denied, "%w: give the store's identity roles/pubsub.subscriber on the subscription", err)
	case codes.NotFound:
		err = errs.Newf(errs.NotExist, "%w: there is no such subscription", err)
	}
	return out, err
}
