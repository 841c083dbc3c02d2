package audit_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever waits for a device that hangs looks at its context once the device has
// taken longer than it should, whether it waited before or comes later; who has
// patience gets the answer in the end.
func TestWaitingForADeviceThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 0)
		v := b.enable(t, spec("file", "a.log"))
		v.hold(true)
		first := b.Append(entry("1"), none)
		waiting := make(chan error, 2)
		go func() { waiting <- first.Wait(t.Context()) }()
		<-v.entered
		second := b.Append(entry("2"), none)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		if err := second.Wait(gone); err == nil || time.Since(began) > time.Second {
			t.Errorf("a client that is gone was waited for: %v after %v", err, time.Since(began))
		}
		third := b.Append(entry("3"), none) // the device is known to hang
		began = time.Now()
		if err := third.Wait(gone); err == nil || time.Since(began) > 0 {
			t.Errorf("waited on for a client that is gone: %v after %v", err, time.Since(began))
		}
		go func() { waiting <- third.Wait(t.Context()) }()
		v.hold(false)
		v.release <- nil
		for range 2 {
			if err := <-waiting; err != nil {
				t.Error(err)
			}
		}
		// It is quick again, and nobody is woken twice.
		for range 3 {
			if err := b.Append(entry("4"), none).Wait(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

// A line that is lost because the group before it was must not keep its client
// while the log, which is told first, hangs.
func TestWaitingWhileTheLogHangs(t *testing.T) {
	b := newBench(t, 0)
	v := b.enable(t, spec("file", "a.log"))
	v.hold(true)
	first := b.Append(entry("1"), none)
	waiting := make(chan error, 2)
	go func() { waiting <- first.Wait(t.Context()) }()
	<-v.entered
	behind := b.Append(entry("2"), none)
	b.log.mu.Lock()
	v.hold(false)
	v.release <- errors.New("the disk is gone")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	go func() { waiting <- behind.Wait(gone) }()
	for i := range 2 {
		select {
		case err := <-waiting:
			if err == nil {
				t.Error("a line that was lost is taken for written")
			}
		case <-time.After(time.Minute):
			t.Error("a client that is gone was waited for")
		}
		if i == 0 {
			b.log.mu.Unlock() // the other one has patience
		}
	}
}
