package lock

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestTryIsExclusive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l")
	first, err := Try(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Try(path); !errors.Is(err, ErrHeld) {
		t.Fatalf("second Try: %v, want ErrHeld", err)
	}
	first.Release()
	second, err := Try(path)
	if err != nil {
		t.Fatalf("Try after Release: %v", err)
	}
	second.Release()
}

func TestWaitSaysSoAndStopsWithContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l")
	first, err := Try(path)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Release()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	told := 0
	_, err = Wait(ctx, path, func() { told++ })
	if !errors.Is(err, context.DeadlineExceeded) || told != 1 {
		t.Fatalf("Wait: %v, told %d times; want a deadline and one notice", err, told)
	}
}

func TestContentOutlivesHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l")
	l, err := Try(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, note := range []string{"a longer note", "note"} {
		if err := l.SetContent([]byte(note)); err != nil {
			t.Fatal(err)
		}
	}
	l.Drop() // as a killed process would
	l, err = Try(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	if got, err := l.Content(); err != nil || string(got) != "note" {
		t.Fatalf("Content: %q, %v", got, err)
	}
}

// Guards against two holders after a release removed the file under a waiter.
func TestRemovalNeverMakesTwoHolders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l")
	var holders atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for taken := 0; taken < 200; {
				l, err := Try(path)
				if errors.Is(err, ErrHeld) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d holders", n)
				}
				holders.Add(-1)
				l.Release()
				taken++
			}
		})
	}
	wg.Wait()
}
