package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// masked are the host's directories that the node has empty ones for, in
// memory: what containerd, CNI and the kubelet keep in fixed places goes there.
var masked = []string{"/run", "/var/log", "/var/lib"}

// shielded are kernel settings of the whole host that a kubelet insists on
// setting. It sets files of ours instead.
var shielded = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

// mountAll makes the node's own view of the file system.
func mountAll(s Spec) error {
	// Receive mounts from the host, send none to it, and let pods share with
	// one another as mountPropagation asks.
	if err := mount("", "/", "", syscall.MS_REC|syscall.MS_SLAVE, ""); err != nil {
		return err
	}
	if err := mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return err
	}
	if err := mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	keep := []string{s.State}
	for _, p := range s.Programs {
		keep = append(keep, filepath.Dir(p))
	}
	if err := mask(keep); err != nil {
		return err
	}
	for target, source := range map[string]string{
		kubeletDir:    s.path("kubelet"),
		containerdDir: s.path("containerd"),
		podLogDir:     filepath.Join(s.LogDir, "pods"),
	} {
		if err := bind(source, target); err != nil {
			return err
		}
	}
	return shield()
}

// mask empties the masked directories, but for the directories in keep.
func mask(keep []string) error {
	handles := map[string]*os.File{}
	for _, dir := range keep {
		for _, m := range masked {
			if handles[dir] != nil || !strings.HasPrefix(dir, m+"/") {
				continue
			}
			f, err := os.Open(dir)
			if err != nil {
				return fmt.Errorf("keeping %q: %w", dir, err)
			}
			defer func() { _ = f.Close() }()
			handles[dir] = f
		}
	}
	for _, m := range masked {
		if err := mount("tmpfs", m, "tmpfs", 0, "mode=755"); err != nil {
			return err
		}
	}
	for dir, f := range handles {
		if err := bind(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), dir); err != nil {
			return err
		}
	}
	return nil
}

// bind makes a directory of the node's state appear at target.
func bind(source, target string) error {
	for _, dir := range []string{source, target} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("making mount point: %w", err)
		}
	}
	return mount(source, target, "", syscall.MS_BIND|syscall.MS_REC, "")
}

func shield() error {
	for _, name := range shielded {
		setting := filepath.Join("/proc/sys", name)
		value, err := os.ReadFile(setting)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading kernel setting: %w", err)
		}
		copied := filepath.Join("/run", strings.ReplaceAll(name, "/", "."))
		if err := os.WriteFile(copied, value, 0o644); err != nil {
			return fmt.Errorf("copying kernel setting: %w", err)
		}
		if err := mount(copied, setting, "", syscall.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := syscall.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mounting %q: %w", target, err)
	}
	return nil
}
