package queue

import (
	"context"
	"regexp"
	"strconv"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go/logging"

	"github.com/strongkeep/strongkeep/internal/cloud/aws/wire"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/access"
	"github.com/strongkeep/strongkeep/internal/kube/provider/notice"
)

// Config configures a Queue. All fields but Endpoint are required.
type Config struct {
	Client   wire.Client
	Access   *access.Access
	Endpoint string // AWS's own for the region when empty
	Address  string // sqs:https://sqs.REGION.amazonaws.com/ACCOUNT/NAME
}

// Queue is one queue. It implements notice.Queue.
type Queue struct {
	cfg    Config
	url    string
	client *sqs.Client
}

var _ notice.Queue = (*Queue)(nil)

const (
	kind    = "sqs"
	example = "https://sqs.REGION.amazonaws.com/ACCOUNT/QUEUE"
	batch   = 10 // messages of one call, SQS's most
)

var (
	paths = regexp.MustCompile(`^/[0-9]{12}/[A-Za-z0-9_-]{1,80}(\.fifo)?$`)
	// suffixes are what hosts end in, in each partition.
	suffixes = map[string]bool{"amazonaws.com": true, "amazonaws.com.cn": true, "amazonaws.eu": true, "c2s.ic.gov": true, "sc2s.sgov.gov": true, "cloud.adc-e.uk": true, "csp.hci.ic.gov": true}
)

// New returns a Queue. It does not connect. Requests go to the endpoint of the region
// whatever host the address has; one of another region would only not be found there.
func New(cfg Config) (*Queue, error) {
	u, err := notice.URL(cfg.Address, kind, example)
	if err != nil {
		return nil, err
	}
	host := "sqs." + cfg.Client.Region + "."
	if len(u.Host) <= len(host) || u.Host[:len(host)] != host || !suffixes[u.Host[len(host):]] {
		return nil, errs.Newf(errs.Invalid, "the queue is at %q: it must be in the store's region, at %samazonaws.com", u.Host, host)
	}
	if !paths.MatchString(u.Path) {
		return nil, errs.Newf(errs.Invalid, "%q is no address of a queue: give %s:%s", cfg.Address, kind, example)
	}
	return &Queue{cfg: cfg, url: u.String(), client: sqs.New(sqs.Options{
		Region: cfg.Client.Region, BaseEndpoint: wire.Text(cfg.Endpoint), HTTPClient: cfg.Client.HTTP, Retryer: cfg.Client.Retryer,
		Credentials: cfg.Access, Logger: logging.Nop{}, AppID: "strongkeep",
	})}, nil
}

// Receive implements notice.Queue.
func (q *Queue) Receive(ctx context.Context, wait time.Duration) ([]notice.Message, error) {
	out, err := access.Do(ctx, q.cfg.Access, "reading "+q.url+" (sqs:ReceiveMessage)", func(ctx context.Context) (*sqs.ReceiveMessageOutput, error) {
		return q.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: &q.url, MaxNumberOfMessages: batch, WaitTimeSeconds: int32(wait / time.Second),
		})
	})
	if err != nil {
		return nil, explain(err)
	}
	messages := make([]notice.Message, 0, len(out.Messages))
	for _, m := range out.Messages {
		messages = append(messages, notice.Message{ID: sdk.ToString(m.MessageId), Receipt: sdk.ToString(m.ReceiptHandle), Body: []byte(sdk.ToString(m.Body))})
	}
	return messages, nil
}

// Ack implements notice.Queue.
func (q *Queue) Ack(ctx context.Context, messages []notice.Message) error {
	for len(messages) > 0 {
		n := min(len(messages), batch)
		entries := make([]types.DeleteMessageBatchRequestEntry, n)
		for i := range entries {
			id := strconv.Itoa(i)
			entries[i] = types.DeleteMessageBatchRequestEntry{Id: &id, ReceiptHandle: &messages[i].Receipt}
		}
		_, err := access.Do(ctx, q.cfg.Access, "deleting messages of "+q.url+" (sqs:DeleteMessage)", func(ctx context.Context) (*sqs.DeleteMessageBatchOutput, error) {
			return q.client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &q.url, Entries: entries})
		})
		if err != nil {
			return explain(err)
		}
		messages = messages[n:]
	}
	return nil
}

// explain gives those codes of SQS their kind that other services do not have.
func explain(err error) error {
	switch wire.Code(err) {
	case "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue":
		return errs.Newf(errs.NotExist, "%w: there is no such queue, or not for this identity", err)
	case "KmsThrottled", "RequestThrottled", "OverLimit":
		return errs.As(errs.Exhausted, err)
	case "KmsAccessDenied":
		return errs.Newf(errs.Denied, "%w: allow kms:Decrypt on the queue's key", err)
	}
	return err
}
