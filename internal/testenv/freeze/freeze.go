// Package freeze has processes of tests hang: they keep their connections and
// answer nothing.
//
// Only tests import it. Start reading at Stop.
package freeze

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// patience is how long the threads of a process may take to stop.
const patience = 10 * time.Second

// Stop stops a process and returns when each of its threads stands still: the
// signal alone returns before that, and a request may still be answered.
func Stop(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stopping process %d: %w", pid, err)
	}
	for deadline := time.Now().Add(patience); !still(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d runs on, %v after it was told to stop", pid, patience)
		}
	}
	return nil
}

// Continue undoes Stop.
func Continue(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		return fmt.Errorf("continuing process %d: %w", pid, err)
	}
	return nil
}

// still reports whether all threads are stopped, by what Linux says in /proc.
// Where there is no /proc it believes so.
func still(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, path := range threads {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		// "TID (name) STATE ...", where the name may hold anything.
		_, rest, ok := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
		if ok && len(rest) > 0 && !bytes.ContainsRune([]byte("TtZX"), rune(rest[0])) {
			return false
		}
	}
	return true
}
