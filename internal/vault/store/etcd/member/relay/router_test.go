package relay

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// played is a member: what it answers, and how often it was asked.
type played struct {
	clientv3.KV
	clientv3.Watcher
	client       *clientv3.Client
	answer       func(context.Context) error
	gets, writes atomic.Int32
}

func play(answer func(context.Context) error) *played {
	p := &played{answer: answer, client: clientv3.NewCtxClient(context.Background())}
	p.client.KV, p.client.Watcher = p, p
	return p
}

func (p *played) Get(ctx context.Context, _ string, _ ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	p.gets.Add(1)
	return &clientv3.GetResponse{}, p.answer(ctx)
}

func (p *played) Txn(ctx context.Context) clientv3.Txn { return &playedTxn{p: p, ctx: ctx} }

func (p *played) Watch(ctx context.Context, _ string, _ ...clientv3.OpOption) clientv3.WatchChan {
	c := make(chan clientv3.WatchResponse)
	context.AfterFunc(ctx, func() { close(c) })
	return c
}

func (p *played) Close() error { return nil }

func (p *played) closed() bool { return p.client.Ctx().Err() != nil }

type playedTxn struct {
	clientv3.Txn
	p   *played
	ctx context.Context
}

func (t *playedTxn) If(...clientv3.Cmp) clientv3.Txn  { return t }
func (t *playedTxn) Then(...clientv3.Op) clientv3.Txn { return t }
func (t *playedTxn) Else(...clientv3.Op) clientv3.Txn { return t }
func (t *playedTxn) Commit() (*clientv3.TxnResponse, error) {
	t.p.writes.Add(1)
	return &clientv3.TxnResponse{}, t.p.answer(t.ctx)
}

var errGone = status.Error(codes.Unavailable, "error reading from server: EOF")

func answers(err error) func(context.Context) error {
	return func(context.Context) error { return err }
}

// hangs answers when it is asked no more, or is let.
func hangs(let chan struct{}) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-let:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// router begins with a way by another member.
func router(t *testing.T, by *played) *Router {
	t.Helper()
	r := New(Config{Log: slog.New(slog.DiscardHandler)})
	r.turn(newWay(by.client, "https://a"))
	t.Cleanup(r.Close)
	return r
}

func write(r *Router) error {
	_, err := r.Client().Txn(context.Background()).Then(clientv3.OpPut("k", "v")).Commit()
	return err
}

func read(r *Router) error {
	_, err := r.Client().Get(context.Background(), "k")
	return err
}

// A read, and a transaction that writes nothing, is asked of the next member when the first is gone.
func TestReadsAreAskedAgain(t *testing.T) {
	for name, ask := range map[string]func(*Router) error{
		"get": read,
		"look": func(r *Router) error {
			_, err := r.Client().Txn(context.Background()).Then(clientv3.OpGet("k")).Else(clientv3.OpGet("o")).Commit()
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gone, there := play(answers(errGone)), play(answers(nil))
				r := router(t, gone)
				asked := make(chan error, 1)
				go func() { asked <- ask(r) }()
				synctest.Wait()
				if at, _ := r.Way(); at != "" || !gone.closed() {
					t.Error("a member that is gone is still asked: ", at)
				}
				r.turn(newWay(there.client, "https://b"))
				if err := <-asked; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A read that hangs is asked of the own member as soon as that has caught up.
func TestReadsFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, own := play(hangs(nil)), play(answers(nil))
		r := router(t, slow)
		asked := make(chan error, 1)
		go func() { asked <- read(r) }()
		synctest.Wait()
		r.turn(newWay(own.client, ""))
		if err := <-asked; err != nil || own.gets.Load() != 1 {
			t.Error(err, own.gets.Load())
		}
		if r.Close(); own.closed() || !slow.closed() {
			t.Error("the own member's client is not the router's to close, and others are")
		}
	})
}

// What a member that is well says is not asked again, and the way stays.
func TestAnswersCount(t *testing.T) {
	for _, said := range []error{rpctypes.ErrCompacted, rpctypes.ErrGRPCNoSpace, status.Error(codes.ResourceExhausted, "too long")} {
		synctest.Test(t, func(t *testing.T) {
			p := play(answers(said))
			r := router(t, p)
			if err := read(r); !errors.Is(err, said) {
				t.Error(err)
			}
			if err := write(r); !errors.Is(err, said) {
				t.Error(err)
			}
			if at, _ := r.Way(); at == "" || p.gets.Load() != 1 || p.writes.Load() != 1 {
				t.Errorf("the way %q was asked %d and %d times", at, p.gets.Load(), p.writes.Load())
			}
		})
	}
}

// A write whose member goes has an unknown end, and is not sent to another; the way is left.
func TestWriteIsSentOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		gone, there := play(func(context.Context) error { <-let; return errGone }), play(answers(nil))
		r := router(t, gone)
		ended := make(chan error, 1)
		go func() { ended <- write(r) }()
		synctest.Wait()
		r.turn(newWay(there.client, "")) // its way is left, and it goes on
		if gone.closed() {
			t.Error("a write under way is cut off")
		}
		close(let)
		if err := <-ended; !errors.Is(err, errGone) {
			t.Error(err)
		}
		if gone.writes.Load() != 1 || there.writes.Load() != 0 || !gone.closed() {
			t.Errorf("sent %d and %d times; closed: %v", gone.writes.Load(), there.writes.Load(), gone.closed())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		gone := play(answers(errGone))
		r := router(t, gone)
		if err := write(r); !errors.Is(err, errGone) {
			t.Error(err)
		}
		if at, _ := r.Way(); at != "" || !gone.closed() {
			t.Error("the way is not left")
		}
	})
}

// Another member comes neither before the own one nor before one that answers.
func TestWhoComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, own, late := play(answers(nil)), play(answers(nil)), play(answers(nil)), play(answers(nil))
		r := router(t, first)
		if r.turn(newWay(second.client, "https://b")); !second.closed() {
			t.Error("the second that answered is taken")
		}
		r.turn(newWay(own.client, ""))
		if r.turn(newWay(late.client, "https://c")); !late.closed() {
			t.Error("another member is taken before the own one")
		}
		if _, is := r.Way(); !is || !first.closed() {
			t.Error("the own member is not taken")
		}
	})
}

// A watch ends with its way, and with nothing else.
func TestWatchEndsWithItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, own := play(answers(nil)), play(answers(nil))
		r := router(t, first)
		w := r.Client().Watch(t.Context(), "k")
		synctest.Wait()
		select {
		case <-w:
			t.Fatal("it ended")
		default:
		}
		r.turn(newWay(own.client, ""))
		if _, open := <-w; open {
			t.Error("it told of something")
		}
		again := r.Client().Watch(t.Context(), "k")
		ctx, cancel := context.WithCancel(t.Context())
		other := r.Client().Watch(ctx, "k")
		cancel()
		<-other
		synctest.Wait()
		select {
		case <-again:
			t.Error("it ended with another")
		default:
		}
	})
}

// elector is an etcd that tells of elections, and has followed the new leader once it is let.
type elector struct {
	changed  chan struct{}
	followed chan struct{}
}

func (e *elector) LeaderChangedNotify() <-chan struct{} { return e.changed }

func (e *elector) LinearizableReadNotify(ctx context.Context) error { return hangs(e.followed)(ctx) }

// Writes by the own member that began before an election end when the next leader was followed and they have
// had time for their answer; those that began behind it do not.
func TestWritesEndWithTheirEra(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		own := play(hangs(let))
		e := &elector{make(chan struct{}), make(chan struct{})}
		r := New(Config{Log: slog.New(slog.DiscardHandler)})
		t.Cleanup(r.Close)
		r.Own(own.client, e)
		before, behind := make(chan error, 1), make(chan error, 1)
		go func() { before <- write(r) }()
		synctest.Wait()
		e.changed <- struct{}{}
		synctest.Wait()
		go func() { behind <- write(r) }()
		time.Sleep(time.Minute)
		select {
		case err := <-before:
			t.Fatal("it ended before the leader was followed: ", err)
		default:
		}
		began := time.Now()
		close(e.followed)
		if err := <-before; !errors.Is(err, errElected) || time.Since(began) != answerFor {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		close(let)
		if err := <-behind; err != nil {
			t.Error(err)
		}
	})
}

// Who waits for a way is told when there will be none.
func TestCloseWithoutAWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{Log: slog.New(slog.DiscardHandler)})
		r.Search()
		ended := make(chan error, 3)
		go func() { ended <- read(r) }()
		go func() { ended <- write(r) }()
		go func() { ended <- r.Ready(context.Background()) }()
		synctest.Wait()
		r.Close()
		for range 3 {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	})
}
