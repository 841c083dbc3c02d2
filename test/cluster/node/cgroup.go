package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// removeTimeout bounds how long the kernel may take to notice that the
// processes of a cgroup are gone.
const removeTimeout = 5 * time.Second

// makeCgroups makes the cgroup in every hierarchy: the kubelet wants its root
// to exist.
func makeCgroups(name string) error {
	mounts, err := cgroupMounts()
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if controllers, err := os.ReadFile(filepath.Join(m, "cgroup.controllers")); err == nil {
			// Version 2 hands controllers down on request. Those it refuses, or
			// version 1 has, are not this hierarchy's.
			for c := range strings.FieldsSeq(string(controllers)) {
				_ = os.WriteFile(filepath.Join(m, "cgroup.subtree_control"), []byte("+"+c), 0)
			}
		}
		if err := os.Mkdir(filepath.Join(m, name), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("making cgroup: %w", err)
		}
	}
	return nil
}

// removeCgroups removes the cgroup and all below it from every hierarchy.
func removeCgroups(name string) error {
	mounts, err := cgroupMounts()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(removeTimeout)
	for _, m := range mounts {
		for {
			err := removeTree(filepath.Join(m, name))
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("removing cgroup: %w", err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return nil
}

// removeTree removes directories only: the files in a cgroup go with it.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, syscall.ENOENT) {
		return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
	}
	return nil
}

// cgroupMounts are the mount points of all hierarchies.
func cgroupMounts() ([]string, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("looking for cgroups: %w", err)
	}
	return parseCgroupMounts(string(b)), nil
}

// parseCgroupMounts reads /proc/self/mountinfo; see proc_pid_mountinfo(5): the
// mount point is the fifth field, the type the first after a dash.
func parseCgroupMounts(mountinfo string) []string {
	var mounts []string
	for line := range strings.Lines(mountinfo) {
		mount, super, _ := strings.Cut(line, " - ")
		f, s := strings.Fields(mount), strings.Fields(super)
		if len(f) >= 5 && len(s) > 0 && (s[0] == "cgroup" || s[0] == "cgroup2") {
			mounts = append(mounts, f[4])
		}
	}
	return mounts
}
