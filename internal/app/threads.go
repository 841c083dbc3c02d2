package app

import (
	"os"
	"runtime"
)

// syncers is how many goroutines of a server wait for the disk most of the time
// it is under load: the audit log's writer and the store's.
const syncers = 2

// SpareForSyncs lets as many threads run Go code as there are processors while
// goroutines wait for a sync, until release is called. Go counts a thread that
// is in a system call as running until a watchdog notices that it is not; with
// two processors and two files to sync that is half the machine, or all of it.
//
// Where a container's limit or GOMAXPROCS allows fewer threads than there are
// processors nothing is done: more threads would spend the limit sooner, and
// then wait.
func SpareForSyncs() (release func()) {
	processors := runtime.NumCPU()
	if os.Getenv("GOMAXPROCS") != "" || runtime.GOMAXPROCS(0) != processors {
		return func() {}
	}
	runtime.GOMAXPROCS(processors + syncers)
	return runtime.SetDefaultGOMAXPROCS
}
