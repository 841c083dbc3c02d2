package notice

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// Wait is how long a queue may let Receive wait for a message.
const Wait = 20 * time.Second

// Message is one delivery.
type Message struct {
	ID         string // what the queue calls it; public
	Receipt    string // what Ack needs
	Body       []byte
	Attributes map[string]string // of queues that have them
}

// Queue is one queue with one login. It is used by one Reader at a time.
type Queue interface {
	// Receive returns messages that are there, and waits for one as long as wait says.
	// None is no failure. Denied and NotExist name what is missing.
	Receive(ctx context.Context, wait time.Duration) ([]Message, error)
	// Ack takes messages from the queue. What it cannot take comes again.
	Ack(ctx context.Context, messages []Message) error
}

// Config is what a Reader needs. All fields are required.
type Config struct {
	Queue Queue
	// Topics returns what a message says has changed: nothing when it is about something
	// else. An error means that it cannot be read, and holds nothing of it.
	Topics func(m Message) ([]string, error)
	Clock  clock.Clock
	Log    *slog.Logger
	Name   string // of the queue, for the log
}

// Reader reads a queue.
type Reader struct{ Config }

// How long a queue that throttles is left alone: doubling from the first to the last.
const (
	throttledFirst   = time.Second
	throttledLongest = time.Minute
)

// Notify is that of provider.Notifier. Every message is acknowledged once all of it is
// reported, and so is one that cannot be read: left alone it would come for ever.
// Delivered twice it is reported twice.
func (r *Reader) Notify(ctx context.Context, report func(provider.Change)) error {
	messages, err := r.Queue.Receive(ctx, 0)
	if err != nil {
		return refused(err)
	}
	report(provider.Change{Connected: true})
	pause := throttledFirst
	for {
		if err == nil {
			pause = throttledFirst
			err = r.handle(ctx, messages, report)
		}
		switch {
		case errs.Is(err, errs.Exhausted): // what is in the queue stays there: nothing is missed
			if err := r.sleep(ctx, pause); err != nil {
				return err
			}
			pause = min(pause*2, throttledLongest)
		case err != nil:
			return refused(err)
		}
		messages, err = r.Queue.Receive(ctx, Wait)
	}
}

// handle reports messages and acknowledges them.
func (r *Reader) handle(ctx context.Context, messages []Message, report func(provider.Change)) error {
	if ctx.Err() != nil {
		return errs.Newf(errs.Unavailable, "reading %s: %w", r.Name, ctx.Err())
	}
	if len(messages) == 0 {
		return nil
	}
	unread := 0
	for _, m := range messages {
		topics, err := r.Topics(m)
		if err != nil {
			if unread++; unread == 1 { // one line for each batch: who writes garbage is not to fill the log
				r.Log.Warn("a message about changes cannot be read, and is dropped", "queue", r.Name, "id", m.ID, "reason", err)
			}
			report(provider.Change{Unread: err})
		}
		for _, topic := range topics {
			if topic != "" {
				report(provider.Change{Topic: topic})
			}
		}
	}
	return r.Queue.Ack(ctx, messages)
}

// sleep waits for d, up to half of it less or more.
func (r *Reader) sleep(ctx context.Context, d time.Duration) error {
	timer := r.Clock.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C():
		return nil
	case <-ctx.Done():
		return errs.Newf(errs.Unavailable, "reading %s: %w", r.Name, ctx.Err())
	}
}

// refused: what only an administrator can mend is not asked for again soon.
func refused(err error) error {
	switch errs.KindOf(err) {
	case errs.Denied, errs.NotExist, errs.Invalid:
		return errs.As(errs.Unsupported, err)
	}
	return err
}
