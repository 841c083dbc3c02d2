package noticetest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// Harness is one store with a queue that the cloud's own client reads.
type Harness struct {
	// Open opens the store, and listens to its queue, until the test ends.
	Open func(t *testing.T) provider.Notifier
	// Change puts the message into the queue that the cloud sends when key changes.
	Change func(key string)
	// Send puts any message into the queue.
	Send func(body string)
	// Foreign are messages of the cloud about something else, or about nothing that
	// changes what is read.
	Foreign []string
	// Garbage are messages that look like the cloud's and cannot be read, beside the
	// suite's.
	Garbage []string
	// Left is how many messages are in the queue, those included that are delivered and
	// not yet acknowledged.
	Left func() int

	// Each begins a fault and returns what ends it, once it was answered.
	Throttle, Outage, Refuse, Absent func() (heal func())
	// Expire ends every login made until now; new ones are good.
	Expire func()
	// Permission is what the refusal names.
	Permission string
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Run("reports", func(t *testing.T) { testReports(t, h) })
	t.Run("acknowledged when reported", func(t *testing.T) { testAck(t, h) })
	t.Run("garbage", func(t *testing.T) { testGarbage(t, h) })
	t.Run("foreign", func(t *testing.T) { testForeign(t, h) })
	t.Run("outage", func(t *testing.T) { testOutage(t, h) })
	t.Run("throttled", func(t *testing.T) { testThrottled(t, h) })
	t.Run("refused", func(t *testing.T) { testRefused(t, h) })
	t.Run("expired", func(t *testing.T) { testExpired(t, h) })
}

// run is one Notify.
type run struct {
	*testing.T
	n      provider.Notifier
	h      Harness
	heard  chan provider.Change // unread what is reported waits, so that a test sees it happen
	left   chan int             // what was left in the queue when it was reported
	ended  chan error
	cancel context.CancelFunc
}

func begin(t *testing.T, h Harness, n provider.Notifier) *run {
	ctx, cancel := context.WithCancel(t.Context())
	r := &run{T: t, n: n, h: h, heard: make(chan provider.Change, 100), left: make(chan int, 100), ended: make(chan error, 1), cancel: cancel}
	go func() {
		r.ended <- n.Notify(ctx, func(c provider.Change) {
			r.left <- h.Left()
			r.heard <- c
		})
	}()
	t.Cleanup(cancel)
	return r
}

// next returns the next report.
func (r *run) next() provider.Change {
	r.Helper()
	select {
	case c := <-r.heard:
		return c
	case err := <-r.ended:
		r.Fatalf("Notify ended: %v", err)
	case <-r.Context().Done():
		r.Fatal("nothing is reported")
	}
	return provider.Change{}
}

func (r *run) connected() {
	r.Helper()
	if c := r.next(); !c.Connected {
		r.Fatalf("first %+v is reported, want that it is connected", c)
	}
}

// topic expects that a change of key is what is reported next, beside others of the
// same message.
func (r *run) topic(key string) {
	r.Helper()
	want := r.n.Topic(key)
	if want == "" {
		r.Fatalf("%q has no topic", key)
	}
	for {
		c := r.next()
		switch {
		case c.Connected || c.Unread != nil:
			r.Fatalf("%+v is reported, want the topic %q", c, want)
		case c.Topic == want:
			return
		}
	}
}

// change has the key change and expects to hear of it.
func (r *run) change(key string) {
	r.Helper()
	r.h.Change(key)
	r.topic(key)
}

// stop ends the run, which must say so.
func (r *run) stop() {
	r.Helper()
	r.cancel()
	if err := <-r.ended; err == nil {
		r.Error("Notify returns nothing when its context ends")
	}
}

func testReports(t *testing.T, h Harness) {
	n := h.Open(t)
	if n.Topic("app/config") == n.Topic("app/other") || n.Topic("") != "" {
		t.Errorf("topics %q, %q and of no key %q", n.Topic("app/config"), n.Topic("app/other"), n.Topic(""))
	}
	r := begin(t, h, n)
	r.connected()
	for range 3 { // a queue delivers at least once
		r.change("app/config")
		r.change("app/other")
	}
	r.stop()
}

// What is in the queue before somebody listens is reported then.
func testAck(t *testing.T, h Harness) {
	n := h.Open(t)
	h.Change("app/config")
	r := begin(t, h, n)
	r.connected()
	r.topic("app/config")
	for range len(r.left) {
		if left := <-r.left; left != 1 {
			t.Errorf("%d messages are in the queue while one is reported", left)
		}
	}
	r.change("app/other")
	if left := h.Left(); left > 1 {
		t.Errorf("%d messages are in the queue after the first of two was reported: it is not acknowledged", left)
	}
	r.change("app/config")
	r.stop()
	if left := h.Left(); left > 1 {
		t.Errorf("%d messages are left", left)
	}
}

const canary = "canary-in-a-message"

func testGarbage(t *testing.T, h Harness) {
	r := begin(t, h, h.Open(t))
	r.connected()
	bodies := []string{"", canary, `{"` + canary + `":`, "[]", `"` + canary + `"`, "null", "\x00\xff" + canary, "{}", strings.Repeat("[", 20000)}
	for i, body := range append(bodies, h.Garbage...) {
		h.Send(body)
		c := r.next()
		if c.Unread == nil {
			t.Fatalf("message %d: %+v is reported, want that it cannot be read", i, c)
		}
		if strings.Contains(c.Unread.Error(), canary) {
			t.Errorf("message %d: the error quotes it", i)
		}
	}
	r.change("app/config")
	if left := h.Left(); left > 1 {
		t.Errorf("%d messages are in the queue: what cannot be read is not dropped", left)
	}
	r.stop()
}

func testForeign(t *testing.T, h Harness) {
	r := begin(t, h, h.Open(t))
	r.connected()
	for _, body := range h.Foreign {
		h.Send(body)
	}
	r.h.Change("app/config")
	if c := r.next(); c.Unread != nil || c.Connected {
		t.Errorf("%+v is reported of what concerns nobody", c)
	}
	r.stop()
}

func testOutage(t *testing.T, h Harness) {
	n := h.Open(t)
	r := begin(t, h, n)
	r.connected()
	r.change("app/config")
	heal := h.Outage()
	h.Change("app/other")
	if err := r.end(); !errs.Is(err, errs.Unavailable) {
		t.Errorf("in an outage: %v (%v)", err, errs.KindOf(err))
	}
	again := begin(t, h, n)
	if err := again.end(); !errs.Is(err, errs.Unavailable) {
		t.Errorf("connecting in an outage: %v (%v)", err, errs.KindOf(err))
	}
	if len(again.heard) > 0 {
		t.Error("it is connected in an outage")
	}
	heal()
	after := begin(t, h, n)
	after.connected()
	after.topic("app/other")
	after.stop()
}

// end waits for the end of a run, whatever it reports before.
func (r *run) end() error {
	r.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-r.Context().Done():
		return fmt.Errorf("waiting for the end of Notify: %w", r.Context().Err())
	}
}

// A queue that throttles is waited for: nothing is lost, and nothing read anew.
func testThrottled(t *testing.T, h Harness) {
	r := begin(t, h, h.Open(t))
	r.connected()
	heal := h.Throttle()
	h.Change("app/config")
	heal()
	r.topic("app/config")
	r.stop()
}

func testRefused(t *testing.T, h Harness) {
	n := h.Open(t)
	for name, fault := range map[string]func() func(){"refused": h.Refuse, "absent": h.Absent} {
		heal := fault()
		err := begin(t, h, n).end()
		heal()
		if !errs.Is(err, errs.Unsupported) {
			t.Errorf("%s: %v (%v), want %v: asked soon again it is no other", name, err, errs.KindOf(err), errs.Unsupported)
			continue
		}
		if name == "refused" && !strings.Contains(err.Error(), h.Permission) {
			t.Errorf("%v: does not name %s", err, h.Permission)
		}
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error quotes a secret", name)
		}
	}
	r := begin(t, h, n)
	r.connected()
	r.stop()
}

func testExpired(t *testing.T, h Harness) {
	r := begin(t, h, h.Open(t))
	r.connected()
	r.change("app/config")
	h.Expire()
	r.change("app/other")
	r.stop()
}
