package pebble

import (
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
)

// logger passes pebble's warnings and errors on, and nothing else.
type logger struct {
	log  *slog.Logger
	disk *disk
}

// fatal is what Fatalf panics with.
type fatal string

func (f fatal) Error() string { return string(f) }

func (l *logger) Infof(string, ...any) {}

func (l *logger) Errorf(format string, args ...any) {
	if l.disk.dropped() != nil {
		return // the reason has been said
	}
	l.log.Error(fmt.Sprintf(format, args...))
}

// Fatalf must not return. Errors of writes do not lead here while the store is
// open (see disk): what does is a broken invariant, and going on would harm
// what is stored.
func (l *logger) Fatalf(format string, args ...any) {
	if l.disk.dropped() != nil {
		return // of a database that is being closed and writes nothing any more
	}
	msg := fmt.Sprintf(format, args...)
	l.log.Error("the store cannot go on: its files or the program are damaged; keep a copy of its directory, then restore a backup", slog.String("error", msg))
	panic(fatal(msg))
}

func (l *logger) events() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			if l.disk.dropped() != nil {
				return
			}
			l.log.Error("working in the background", slog.String("error", err.Error())) // %+v of pebble's errors is a stack trace
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			l.log.Error("a file of the store is damaged; restore it from a backup", slog.String("path", info.Path), slog.String("error", info.Details.Error()))
		},
		DiskSlow: func(info pebble.DiskSlowInfo) {
			if l.disk.now().err == nil { // otherwise it has been said
				l.log.Warn("the disk is slow", slog.String("path", info.Path), slog.Duration("for", info.Duration))
			}
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			l.log.Warn("writes wait for the disk to keep up", slog.String("reason", info.Reason))
		},
	}
}
