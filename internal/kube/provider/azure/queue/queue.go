package queue

import (
	"context"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/notice"
)

// Config configures a Queue. All but Retry are required.
type Config struct {
	Credential azcore.TokenCredential
	Transport  policy.Transporter
	URL        string // https://ACCOUNT.queue.core.windows.net/QUEUE
	Retry      provider.Retry
	Clock      clock.Clock
}

// Queue is one queue. It implements notice.Queue.
type Queue struct {
	cfg    Config
	client *azqueue.QueueClient
}

var _ notice.Queue = (*Queue)(nil)

const (
	callTimeout = 30 * time.Second
	batch       = 32 // messages of one call, Azure's most
	hidden      = 60 // seconds, in which a message that is delivered is not delivered again
	// An empty queue, which cannot be waited for, is asked again: doubling from the first
	// to the last.
	pollFirst   = time.Second
	pollLongest = 10 * time.Second
)

// New returns a Queue. It does not connect.
func New(cfg Config) (*Queue, error) {
	o := azcore.ClientOptions{Transport: cfg.Transport, Retry: retries(cfg.Retry)}
	o.Telemetry.Disabled = true
	client, err := azqueue.NewQueueClient(cfg.URL, cfg.Credential, &azqueue.ClientOptions{ClientOptions: o})
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making a client of Azure Storage: %w", err)
	}
	return &Queue{cfg, client}, nil
}

// retries are three tries within about a second, or as the store says.
func retries(r provider.Retry) policy.RetryOptions {
	o := policy.RetryOptions{MaxRetries: 2, RetryDelay: 300 * time.Millisecond, MaxRetryDelay: time.Second, StatusCodes: []int{408, 500, 502, 504}}
	if r.Max != nil {
		o.MaxRetries = int32(min(*r.Max, 100))
		if *r.Max <= 0 {
			o.MaxRetries = -1
		}
	}
	if r.Wait > 0 {
		o.RetryDelay, o.MaxRetryDelay = r.Wait, r.Wait
	}
	return o
}

// Receive implements notice.Queue.
func (q *Queue) Receive(ctx context.Context, wait time.Duration) ([]notice.Message, error) {
	until := q.cfg.Clock.Now().Add(wait)
	for pause := pollFirst; ; pause = min(pause*2, pollLongest) {
		messages, err := q.take(ctx)
		left := until.Sub(q.cfg.Clock.Now())
		if err != nil || len(messages) > 0 || left <= 0 {
			return messages, err
		}
		timer := q.cfg.Clock.NewTimer(min(pause/2+rand.N(pause), left)) // jitter: not every store at once
		select {
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			return nil, errs.Newf(errs.Unavailable, "reading %s: %w", q.cfg.URL, ctx.Err())
		}
	}
}

// take returns what is in the queue.
func (q *Queue) take(ctx context.Context) ([]notice.Message, error) {
	n, seconds := int32(batch), int32(hidden)
	out, err := do(ctx, "reading "+q.cfg.URL, func(ctx context.Context) (azqueue.DequeueMessagesResponse, error) {
		return q.client.DequeueMessages(ctx, &azqueue.DequeueMessagesOptions{NumberOfMessages: &n, VisibilityTimeout: &seconds})
	})
	if err != nil {
		return nil, err
	}
	messages := make([]notice.Message, 0, len(out.Messages))
	for _, m := range out.Messages {
		if m == nil || m.MessageID == nil || m.PopReceipt == nil {
			return nil, errs.Newf(errs.Unavailable, "reading %s: the answer is not one of Azure Storage", q.cfg.URL)
		}
		one := notice.Message{ID: *m.MessageID, Receipt: *m.PopReceipt}
		if m.MessageText != nil {
			one.Body = plain(*m.MessageText)
		}
		messages = append(messages, one)
	}
	return messages, nil
}

// plain takes the base64 off, in which Event Grid writes messages. Others may not.
func plain(text string) []byte {
	if body, err := base64.StdEncoding.DecodeString(text); err == nil {
		return body
	}
	return []byte(text)
}

// Ack implements notice.Queue. A message that is not there any more is as good as
// acknowledged.
func (q *Queue) Ack(ctx context.Context, messages []notice.Message) error {
	for _, m := range messages {
		_, err := do(ctx, "deleting messages of "+q.cfg.URL, func(ctx context.Context) (azqueue.DeleteMessageResponse, error) {
			return q.client.DeleteMessage(ctx, m.ID, m.Receipt, nil)
		})
		var r *refusal
		if err != nil && (!errors.As(err, &r) || r.code != "MessageNotFound" && r.code != "PopReceiptMismatch") {
			return err
		}
	}
	return nil
}

// do makes one call and gives its failure a kind. One that is refused for its token is
// made once more: who carries the requests has another by then.
func do[T any](ctx context.Context, doing string, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := call(ctx)
	if status(err) == http.StatusUnauthorized {
		out, err = call(ctx)
	}
	if err != nil {
		var none T
		return none, fail(doing, err)
	}
	return out, nil
}

func status(err error) int {
	var answer *azcore.ResponseError
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}

// refusal is an answer of Azure Storage under a text that can be shown.
type refusal struct{ text, code string }

func (r *refusal) Error() string { return r.text }

var codes = regexp.MustCompile(`^[A-Za-z]{1,64}$`)

// fail gives an error of a call its kind, and a text of the code: the words may quote
// what was sent.
func fail(doing string, err error) error {
	var answer *azcore.ResponseError
	var dial *url.Error
	kind := errs.KindOf(err)
	switch {
	case errors.As(err, &answer):
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return errs.Newf(errs.Unavailable, "%s: no answer in time", doing)
	case kind != errs.Internal: // ours, from the login or the Transport
		return errs.Newf(kind, "%s: %w", doing, err)
	case errors.As(err, &dial):
		return errs.Newf(errs.Unavailable, "%s: the connection failed", doing)
	default:
		return errs.Newf(errs.Unavailable, "%s: Azure Storage gives no answer that can be read", doing)
	}
	return refused(doing, answer)
}

// refused is the error of an answer of Azure Storage.
func refused(doing string, answer *azcore.ResponseError) error {
	if !codes.MatchString(answer.ErrorCode) {
		return errs.Newf(errs.Unavailable, "%s: status %d, and no answer of Azure Storage", doing, answer.StatusCode)
	}
	kind, text := errs.Unavailable, doing+": Azure Storage says "+answer.ErrorCode
	switch answer.StatusCode {
	case http.StatusForbidden:
		kind, text = errs.Denied, text+": give the store's identity the role Storage Queue Data Message Processor on the queue"
	case http.StatusUnauthorized:
		kind = errs.Unauthenticated
	case http.StatusNotFound:
		kind = errs.NotExist
	case http.StatusServiceUnavailable, http.StatusTooManyRequests: // the first is ServerBusy, which says that there were too many calls
		kind = errs.Exhausted
	case http.StatusBadRequest:
		kind = errs.Invalid
	}
	return errs.As(kind, &refusal{text, answer.ErrorCode})
}
