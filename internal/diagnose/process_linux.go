package diagnose

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// process is one that runs, as /proc shows it to everybody: a server lets nobody look
// further.
type process struct {
	dir string // /proc/PID
	pid int
}

// locks are the files below a data directory that whoever has a store there open has locked:
// pebble's, and that of a cluster's member.
var locks = []string{"store/LOCK", "cluster/etcd/member/snap/db"}

// holder is the process that has the store of dir open; false: there is none, or it is in
// another namespace of processes.
func holder(proc, dir string) (process, bool) {
	table, err := os.ReadFile(filepath.Join(proc, "locks"))
	if err != nil {
		return process{}, false
	}
	for _, name := range locks {
		if p, ok := locking(proc, string(table), filepath.Join(dir, name)); ok {
			return p, true
		}
	}
	return process{}, false
}

// anywhere are file systems whose files have another device for stat than for locks: of them
// the inode alone is compared.
var anywhere = []int64{unix.BTRFS_SUPER_MAGIC, unix.OVERLAYFS_SUPER_MAGIC}

// locking is the process that has a file locked.
func locking(proc, table, file string) (process, bool) {
	var is unix.Stat_t
	var on unix.Statfs_t
	if unix.Stat(file, &is) != nil || unix.Statfs(file, &on) != nil {
		return process{}, false
	}
	inode := fmt.Sprintf(":%d", is.Ino)
	where := fmt.Sprintf("%02x:%02x%s", unix.Major(is.Dev), unix.Minor(is.Dev), inode)
	vague := slices.Contains(anywhere, on.Type)
	for line := range strings.Lines(table) {
		// 1: POSIX  ADVISORY  WRITE 4711 08:01:262153 0 EOF
		f := strings.Fields(line)
		if len(f) < 6 || f[5] != where && !(vague && strings.HasSuffix(f[5], inode)) {
			continue
		}
		if pid, err := strconv.Atoi(f[4]); err == nil && pid > 0 {
			return process{filepath.Join(proc, f[4]), pid}, true
		}
	}
	return process{}, false
}

// status is the value of a line of /proc/PID/status.
func (p process) status(name string) (string, bool) {
	text, err := os.ReadFile(filepath.Join(p.dir, "status"))
	if err != nil {
		return "", false
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

// limit is the soft and the hard one of a line of /proc/PID/limits.
func (p process) limit(name string) (soft, hard uint64, err error) {
	text, err := os.ReadFile(filepath.Join(p.dir, "limits"))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, name)
		if f := strings.Fields(rest); ok && len(f) >= 2 {
			soft, err1 := amountOf(f[0])
			hard, err2 := amountOf(f[1])
			return soft, hard, errors.Join(err1, err2)
		}
	}
	return 0, 0, fs.ErrNotExist
}

func amountOf(text string) (uint64, error) {
	if text == "unlimited" {
		return unix.RLIM_INFINITY, nil
	}
	return strconv.ParseUint(text, 10, 64)
}

// dumpable reports whether the kernel would write the process's memory into a core dump, or
// show it to others of its user. It gives what shows one that is not to root; of a process
// of root's it cannot be told.
func (p process) dumpable() (yes, known bool) {
	var s unix.Stat_t
	uids, ok := p.status("Uid")
	f := strings.Fields(uids)
	if !ok || len(f) < 2 || f[1] == "0" || unix.Stat(filepath.Join(p.dir, "status"), &s) != nil {
		return false, false
	}
	return strconv.Itoa(int(s.Uid)) == f[1], true
}

// swapped is how much of it lies in swap, in KiB.
func (p process) swapped() (kib uint64, known bool) {
	text, ok := p.status("VmSwap")
	f := strings.Fields(text)
	if !ok || len(f) == 0 {
		return 0, false
	}
	kib, err := strconv.ParseUint(f[0], 10, 64)
	return kib, err == nil
}

// running looks at the process of a server that runs, whose limits are others than those of this shell.
func (v *visit) running(p process) {
	who := fmt.Sprintf("the server that runs (process %d)", p.pid)
	const restart = "restart it as deploy/systemd/strongkeep.service does"
	switch kib, known := p.swapped(); {
	case !known:
		v.add("its memory is not in swap", Unknown, "/proc does not tell of "+who, "")
	case kib > 0:
		v.add("its memory is not in swap", Failed, fmt.Sprintf("%d KiB of %s lie in swap, keys among them perhaps", kib, who), "swapoff -a, then overwrite or encrypt what was swap; "+restart)
	default:
		v.ok("its memory is not in swap", "nothing of %s is", who)
	}
	switch yes, known := p.dumpable(); {
	case !known:
		v.add("its memory is dumped nowhere", Unknown, "of "+who+" it cannot be told: it is root's, or gone", "")
	case yes:
		v.add("its memory is dumped nowhere", Failed, who+" is dumpable: a core dump or a debugger of its user would have its keys", restart)
	default:
		v.ok("its memory is dumped nowhere", "%s is not dumpable", who)
	}
	const files = "it may open enough files"
	switch soft, _, err := p.limit("Max open files"); {
	case err != nil:
		v.add(files, Unknown, err.Error(), "")
	case soft < enoughFiles:
		v.add(files, Warning, fmt.Sprintf("%s may open %s", who, amount(soft)), "LimitNOFILE=65536 in the unit")
	default:
		v.ok(files, "%s may open %s", who, amount(soft))
	}
}
