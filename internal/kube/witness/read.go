package witness

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// Reader reads the volumes of pods. Its methods are safe for concurrent use.
type Reader struct{ root *os.Root }

// OpenReader reads below dir, the kubelet's folder of pods, /var/lib/kubelet/pods.
func OpenReader(dir string) (*Reader, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Reader{root}, nil
}

// Close ends it.
func (r *Reader) Close() error { return r.root.Close() }

// plugins are the kinds of volumes that are looked at, and where below the
// volume's folder its files are.
var plugins = [...]struct{ folder, below string }{
	{"kubernetes.io~secret", ""},
	{"kubernetes.io~projected", ""},
	{"kubernetes.io~csi", "mount"},
}

// A pod's UID is a UUID, or for static pods the MD5 of its manifest; a volume's
// name is a DNS label.
var (
	uidPattern    = regexp.MustCompile(`^[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}$`)
	volumePattern = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
)

const maxPath = 1 << 10

// check returns why f names nothing that is read, "" if it may.
func (f File) check() string {
	switch {
	case !uidPattern.MatchString(f.Pod):
		return "pod is no UID"
	case !volumePattern.MatchString(f.Volume):
		return "volume is no name of a volume"
	case f.Path == "" || len(f.Path) > maxPath || !filepath.IsLocal(f.Path) || strings.Contains(f.Path, "\\") ||
		path.Clean(f.Path) != f.Path || f.Path == ".":
		return "path is no path below a volume"
	}
	return ""
}

// Digest answers for one file.
func (r *Reader) Digest(key []byte, f File) Said {
	if why := f.check(); why != "" {
		return Said{Reason: why}
	}
	for _, p := range plugins {
		volume, err := r.root.OpenRoot(path.Join(f.Pod, "volumes", p.folder, f.Volume, p.below))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Said{Reason: "the volume cannot be opened" + cause(err)}
		}
		said := digest(volume, key, f.Path)
		_ = volume.Close()
		return said
	}
	return Said{Reason: "the pod has no such volume here"}
}

// digest reads a file within a volume. Links are followed as far as they stay
// within it: the kubelet's own do (..data).
func digest(volume *os.Root, key []byte, name string) Said {
	// What a CSI driver's container put there may be anything: a pipe would wait for ever.
	file, err := volume.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return Said{Reason: "there is no such file"}
	}
	if err != nil {
		return Said{Reason: "the file cannot be opened" + cause(err)}
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	switch {
	case err != nil:
		return Said{Reason: "the file cannot be read" + cause(err)}
	case !info.Mode().IsRegular():
		return Said{Reason: "it is no regular file"}
	case info.Size() > MaxFile:
		return Said{Reason: "the file is too large"}
	}
	mac := hmac.New(sha256.New, key)
	n, err := io.Copy(mac, io.LimitReader(file, MaxFile+1))
	switch {
	case err != nil:
		return Said{Reason: "the file cannot be read" + cause(err)}
	case n > MaxFile:
		return Said{Reason: "the file is too large"}
	}
	return Said{Digest: mac.Sum(nil)}
}

// cause names an error without the paths that are in it.
func cause(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return ": permission denied"
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.EXDEV):
		return ": a link leads elsewhere"
	}
	var inner *fs.PathError
	if errors.As(err, &inner) && strings.Contains(inner.Err.Error(), "escapes") { // os.errPathEscapes is not exported
		return ": a link leads out of the volume"
	}
	return ""
}
