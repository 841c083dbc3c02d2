// Command reader is the application of the demo. It runs in a pod, reads the
// file a Secret is mounted as and prints a digest of it, never the value,
// whenever it changes:
//
//	sha256 9f86d081…
//
// Its argument is the file.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// interval is how often the file is read. The kubelet swaps a symbolic link, of
// which inotify on the file itself would not hear.
const interval = 20 * time.Millisecond

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: reader FILE")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	if err := follow(ctx, os.Args[1], os.Stdout, tick.C); err != nil {
		fmt.Fprintln(os.Stderr, "reader:", err)
		os.Exit(1)
	}
}

// follow prints the digest of the file at first and whenever it is another,
// until ctx ends. A file that is not there is not an error.
func follow(ctx context.Context, path string, w io.Writer, tick <-chan time.Time) error {
	last := ""
	for {
		content, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		default:
			sum := sha256.Sum256(content)
			if digest := hex.EncodeToString(sum[:]); digest != last {
				last = digest
				if _, err := fmt.Fprintln(w, "sha256", digest); err != nil {
					return err
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
		}
	}
}
