package kms

import (
	"errors"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// sleeper makes the sleep of a pace, on a thread of its own: the runtime's timers wake
// up by epoll, which rounds to milliseconds, and threads to 50 µs where nobody says
// otherwise.
func sleeper() (until func(time.Time), end func()) {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // in ns; where it may not, it is less exact, and shown
	return func(due time.Time) {
		for {
			left := time.Until(due)
			if left <= 0 {
				return
			}
			t := unix.NsecToTimespec(left.Nanoseconds())
			if err := unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &t, nil); err != nil && !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}, runtime.UnlockOSThread
}
