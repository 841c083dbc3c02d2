package queue_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/gcptest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/queue"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
	"github.com/strongkeep/strongkeep/internal/redact"
)

func open(t *testing.T) (*gcptest.Server, *queue.Queue) {
	t.Helper()
	s := gcptest.New(t)
	keeper := login.New("Google", func(context.Context) (login.Token, error) {
		return login.Token{Value: redact.FromString(s.Token("reader")), Expires: time.Now().Add(time.Hour)}, nil
	}, clock.RealClock{})
	none := 0
	q, err := queue.New(queue.Config{
		Login: keeper, Endpoint: s.Getenv("GCP_PUBSUB_ENDPOINT"), Address: gcptest.QueueAddress, Retry: provider.Retry{Max: &none}, Clock: clock.RealClock{},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		keeper.Close()
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, q
}

// A subscription in which nothing comes does not answer before the time is over. That
// is no failure, unless the question that is answered at once is not answered either.
func TestSilence(t *testing.T) {
	s, q := open(t)
	if _, err := q.Receive(t.Context(), 0); err != nil { // from here on there is a connection
		t.Fatal(err)
	}
	before := s.Count("Pull")
	messages, err := q.Receive(t.Context(), 3*time.Second)
	if err != nil || len(messages) > 0 {
		t.Errorf("%d messages (%v) of an empty subscription", len(messages), err)
	}
	if asked := s.Count("Pull") - before; asked != 2 {
		t.Errorf("asked %d times, want once for the wait and once at its end", asked)
	}
	s.Fail("Pull", gcptest.Fault{Code: codes.DeadlineExceeded, Message: "canary"})
	if messages, err = q.Receive(t.Context(), time.Second); !errs.Is(err, errs.Unavailable) || strings.Contains(err.Error(), "canary") {
		t.Errorf("%d messages (%v) of a service that never answers in time", len(messages), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s.Mend()
	s.Before("Pull", cancel)
	if _, err := q.Receive(ctx, time.Hour); !errs.Is(err, errs.Unavailable) {
		t.Errorf("ended while it waits: %v", err)
	}
}

// Messages that are too much for one answer come one by one.
func TestLargeMessages(t *testing.T) {
	s, q := open(t)
	large := strings.Repeat("x", 7<<20)
	s.Send(large)
	s.Send(large)
	s.Before("Pull", func() { s.Before("Pull", s.Lost) }) // what the first answer had is not acknowledged in time
	for range 2 {
		messages, err := q.Receive(t.Context(), 0)
		if err != nil || len(messages) != 1 || len(messages[0].Body) != len(large) {
			t.Fatalf("%d messages (%v), want one of the two", len(messages), err)
		}
		if err := q.Ack(t.Context(), messages); err != nil {
			t.Fatal(err)
		}
	}
	if left := s.Left(); left != 0 {
		t.Errorf("%d messages are left", left)
	}
}
