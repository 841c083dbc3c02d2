package rig

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Memory is the physical memory of a process, in MB of 10^6 bytes.
type Memory struct {
	Resident float64 // now
	Peak     float64 // the most it ever was
	File     float64 // of Resident, pages of files, such as the program's own, that the system can take back
}

// MemoryOf asks the operating system (proc_pid_status(5)).
func MemoryOf(pid int) (Memory, error) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return Memory{}, errs.Newf(errs.Unavailable, "reading what memory a process has: %w", err)
	}
	return parseMemory(status)
}

func parseMemory(status []byte) (m Memory, err error) {
	for line := range bytes.Lines(status) {
		for name, to := range map[string]*float64{"VmRSS": &m.Resident, "VmHWM": &m.Peak, "RssFile": &m.File} {
			var kb int
			if n, _ := fmt.Sscanf(string(line), name+": %d kB", &kb); n == 1 {
				*to = float64(kb) * 1024 / 1e6
			}
		}
	}
	if m.Resident == 0 || m.Peak == 0 {
		return m, errs.New(errs.Unavailable, "the system does not say what memory a process has")
	}
	return m, nil
}
