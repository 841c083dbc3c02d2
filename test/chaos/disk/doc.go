// Package disk is a disk that can be slow, full, or lose what was not synced: a file system in
// user space (FUSE) over a directory, mounted where only the processes of one host see it.
//
// Start reading at Disk.
package disk
