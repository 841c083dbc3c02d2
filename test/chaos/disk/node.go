package disk

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// node is a file or directory. What it does not say is the loopback's.
type node struct {
	*fs.LoopbackNode
	disk *Disk
}

// WrapChild implements fs.NodeWrapChilder.
func (n *node) WrapChild(_ context.Context, child fs.InodeEmbedder) fs.InodeEmbedder {
	return &node{LoopbackNode: child.(*fs.LoopbackNode), disk: n.disk}
}

// Create implements fs.NodeCreater.
func (n *node) Create(ctx context.Context, name string, flags uint32, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if n.disk.full.Load() {
		return nil, nil, 0, syscall.ENOSPC
	}
	child, h, kind, errno := n.LoopbackNode.Create(ctx, name, readable(flags), mode, out)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	return child, n.file(h, flags), kind, 0
}

// Open implements fs.NodeOpener.
func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, kind, errno := n.LoopbackNode.Open(ctx, readable(flags))
	if errno != 0 {
		return nil, 0, errno
	}
	return n.file(h, flags), kind, 0
}

// readable lets the harness read what a write is about to replace.
func readable(flags uint32) uint32 {
	if flags&syscall.O_ACCMODE == syscall.O_WRONLY {
		return flags&^syscall.O_ACCMODE | syscall.O_RDWR
	}
	return flags
}

// Setattr implements fs.NodeSetattrer, for files that nobody has open.
func (n *node) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	errno := n.LoopbackNode.Setattr(ctx, h, in, out)
	if _, set := in.GetSize(); set && errno == 0 {
		n.disk.shrunk(out.Ino)
	}
	return errno
}

func (n *node) file(h fs.FileHandle, flags uint32) *file {
	return &file{LoopbackFile: h.(*fs.LoopbackFile), disk: n.disk, through: flags&(syscall.O_SYNC|syscall.O_DSYNC) != 0}
}

// file is an open file.
type file struct {
	*fs.LoopbackFile
	disk    *Disk
	through bool // each write is synced
}

// PassthroughFd keeps the kernel from going around us.
func (f *file) PassthroughFd() (int, bool) { return 0, false }

// Write implements fs.FileWriter.
func (f *file) Write(ctx context.Context, data []byte, offset int64) (uint32, syscall.Errno) {
	var at fuse.AttrOut
	if errno := f.Getattr(ctx, &at); errno != 0 {
		return 0, errno
	}
	size := int64(at.Size)
	if f.disk.full.Load() && offset+int64(len(data)) > size {
		return 0, syscall.ENOSPC
	}
	c := change{offset: offset, size: size, length: len(data)}
	if offset < size && !f.through {
		buf := make([]byte, min(int64(len(data)), size-offset))
		r, errno := f.Read(ctx, buf, offset)
		if errno != 0 {
			return 0, errno
		}
		before, status := r.Bytes(buf)
		if !status.Ok() {
			return 0, syscall.Errno(status)
		}
		c.before = append([]byte(nil), before...)
		r.Done()
	}
	if f.through {
		f.disk.wait()
	}
	n, errno := f.LoopbackFile.Write(ctx, data, offset)
	if errno == 0 && !f.through {
		f.disk.wrote(at.Ino, c)
	}
	return n, errno
}

// Allocate implements fs.FileAllocater.
func (f *file) Allocate(ctx context.Context, offset uint64, size uint64, mode uint32) syscall.Errno {
	if f.disk.full.Load() {
		return syscall.ENOSPC
	}
	return f.LoopbackFile.Allocate(ctx, offset, size, mode)
}

// Fsync implements fs.FileFsyncer.
func (f *file) Fsync(ctx context.Context, _ uint32) syscall.Errno {
	f.disk.wait()
	var at fuse.AttrOut
	if errno := f.Getattr(ctx, &at); errno != 0 {
		return errno
	}
	f.disk.saved(at.Ino) // what lies below need not be synced: it is lost here or not at all
	return 0
}
