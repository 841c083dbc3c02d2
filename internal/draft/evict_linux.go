package draft

import (
	"os"

	"golang.org/x/sys/unix"
)

// evict has the kernel forget what it has of a synced file in memory, as far as it likes,
// so that reading it asks the disk.
func evict(f *os.File) { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }
