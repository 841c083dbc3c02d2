package disk

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Disk is a mounted directory. All methods are for any goroutine.
type Disk struct {
	backing string
	server  *fuse.Server

	full  atomic.Bool
	slow  atomic.Int64 // nanoseconds that a sync takes
	mu    sync.Mutex
	files map[uint64]*journal // by inode of backing
}

// journal is how to undo what was written to a file since it was last synced, oldest first.
type journal struct{ unsaved []change }

type change struct {
	offset int64
	before []byte // what stood there; shorter than what was written where the file ended
	size   int64  // of the file before
	length int    // of what was written
}

// Mount shows backing at dir, in the mount namespace of the calling thread. The mount ends
// with the namespace, or this process.
func Mount(backing, dir string) (*Disk, error) {
	loop, err := fusefs.NewLoopbackRoot(backing)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", backing, err)
	}
	d := &Disk{backing: backing, files: map[uint64]*journal{}}
	root := &node{LoopbackNode: loop.(*fusefs.LoopbackNode), disk: d}
	second := time.Second
	syscall.ForkLock.RLock() // the library leaves its device open for programs that are started
	defer syscall.ForkLock.RUnlock()
	d.server, err = fusefs.Mount(dir, root, &fusefs.Options{
		EntryTimeout: &second, AttrTimeout: &second,
		MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "chaos", Name: "chaos", MaxWrite: 1 << 20},
	})
	if err != nil {
		return nil, fmt.Errorf("mounting a disk at %s: %w", dir, err)
	}
	return d, keepDevices()
}

// keepDevices has no program inherit a device of FUSE: as long as one had it open, whoever waits
// for the disk would wait for ever after the end of this process.
func keepDevices() error {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range open {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			return err
		}
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && to == "/dev/fuse" {
			syscall.CloseOnExec(fd)
		}
	}
	return nil
}

// Full has every write fail that makes a file longer (ENOSPC), or lets them again.
func (d *Disk) Full(full bool) { d.full.Store(full) }

// Slow has every sync take this much longer; 0 = as fast as it is.
func (d *Disk) Slow(by time.Duration) { d.slow.Store(int64(by)) }

// sector is what a disk writes whole or not at all, as etcd expects of it
// (go.etcd.io/etcd/server/v3/storage/wal, minSectorSize).
const sector = 512

// Lose has the disk forget what was not synced, as a machine does whose power is cut: of each file,
// some of the newest writes, and perhaps some sectors of one. Only writes are lost, in order; names
// that were made, moved or removed stay so. Nothing may have a file open. It returns how many
// writes were lost.
func (d *Disk) Lose(r *rand.Rand) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	paths, err := d.paths()
	if err != nil {
		return 0, err
	}
	lost := 0
	for ino, j := range d.files {
		delete(d.files, ino)
		path, ok := paths[ino]
		if !ok {
			continue // removed since
		}
		n, err := j.undo(path, r)
		if err != nil {
			return lost, err
		}
		lost += n
	}
	return lost, nil
}

// paths are where files are now, by inode: they may have been moved since they were written.
func (d *Disk) paths() (map[uint64]string, error) {
	all := map[uint64]string{}
	err := filepath.WalkDir(d.backing, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		all[info.Sys().(*syscall.Stat_t).Ino] = path
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking for what was written: %w", err)
	}
	return all, nil
}

// Empty has the disk forget everything, as one does that is replaced. Nothing may have a file open. It
// must be called where the disk is mounted, at dir.
func (d *Disk) Empty(dir string) error {
	all, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("emptying a disk: %w", err)
	}
	for _, e := range all {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("emptying a disk: %w", err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.files)
	return nil
}

// undo takes back some of the newest writes.
func (j *journal) undo(path string, r *rand.Rand) (int, error) {
	if len(j.unsaved) == 0 {
		return 0, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, fmt.Errorf("losing writes: %w", err)
	}
	defer func() { _ = f.Close() }()
	keep := r.IntN(len(j.unsaved) + 1)
	for i := len(j.unsaved) - 1; i >= keep; i-- {
		c := j.unsaved[i]
		from := 0
		if i == keep && c.length > 1 {
			from = c.torn(r.IntN(c.length)) // this much of it got to the disk
		}
		if from < len(c.before) {
			if _, err := f.WriteAt(c.before[from:], c.offset+int64(from)); err != nil {
				return 0, fmt.Errorf("losing writes: %w", err)
			}
		}
		if err := f.Truncate(max(c.size, c.offset+int64(from))); err != nil && from == 0 {
			return 0, fmt.Errorf("losing writes: %w", err)
		}
	}
	return len(j.unsaved) - keep, nil
}

// torn is how many of n bytes of a write are in whole sectors.
func (c change) torn(n int) int {
	end := (c.offset + int64(n)) / sector * sector
	return int(max(0, end-c.offset))
}

// saved forgets how to undo what was written to a file.
func (d *Disk) saved(ino uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.files, ino)
}

func (d *Disk) wrote(ino uint64, c change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	j := d.files[ino]
	if j == nil {
		j = new(journal)
		d.files[ino] = j
	}
	j.unsaved = append(j.unsaved, c)
}

// shrunk drops what is known of a file whose length was set: what is cut away is not put back.
func (d *Disk) shrunk(ino uint64) { d.saved(ino) }

func (d *Disk) wait() {
	if by := time.Duration(d.slow.Load()); by > 0 {
		<-time.After(by)
	}
}
