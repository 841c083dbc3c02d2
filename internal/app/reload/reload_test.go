package reload

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

// A configuration that cannot be read changes no level, and audit devices that cannot be
// reopened are told of.
func TestRunOfWhatFails(t *testing.T) {
	var log bytes.Buffer
	r := Reloader{Keys: func() error { return errors.New("a key that is not one") }, Log: slog.New(slog.NewTextHandler(&log, nil)), Level: new(slog.LevelVar), Started: new(slog.LevelVar),
		Read:  func() (Settings, error) { return Settings{Level: slog.LevelError}, errors.New("no such file") },
		Audit: func(context.Context) error { return errors.New("disk full") }}
	r.Run()
	if r.Level.Level() != slog.LevelInfo || r.Started.Level() != slog.LevelInfo {
		t.Error("a level is taken up:", r.Level, r.Started)
	}
	if text := log.String(); !strings.Contains(text, "stays as it was") || !strings.Contains(text, "keys stay as they were") || !strings.Contains(text, "disk full") || strings.Contains(text, "are reopened") {
		t.Error(text)
	}
}

func TestDiffer(t *testing.T) {
	was := map[string]any{"a": 1, "b": []string{"x"}, "gone": true}
	is := map[string]any{"a": 1, "b": []string{"y"}, "new": ""}
	got, err := differ(was, is)
	if want := []string{"b", "gone", "new"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}
