package image

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
)

// Image describes an image. The same image gives the same bytes.
type Image struct {
	Name       string            // with registry and tag: localhost/probe:1
	Files      map[string]string // absolute path in the image to path on the host
	Entrypoint []string
}

type manifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

type imageConfig struct {
	Architecture string    `json:"architecture"`
	OS           string    `json:"os"`
	Config       runConfig `json:"config"`
	RootFS       layers    `json:"rootfs"`
}

type runConfig struct {
	Entrypoint []string
	WorkingDir string
	Env        []string
}

type layers struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

// WriteFile writes the image's archive.
func (i Image) WriteFile(name string) (err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("making image %q: %w", i.Name, err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = fmt.Errorf("making image %q: %w", i.Name, err)
		}
	}()
	return i.write(f)
}

// write makes the layer twice: once for its digest and size, which stand before
// it, and once to write it, so that no layer is held in memory.
func (i Image) write(w io.Writer) error {
	if err := i.check(); err != nil {
		return err
	}
	sum := &counter{Hash: sha256.New()}
	if err := i.layer(sum); err != nil {
		return err
	}
	config, err := json.Marshal(imageConfig{
		Architecture: runtime.GOARCH,
		OS:           "linux",
		Config: runConfig{
			Entrypoint: i.Entrypoint,
			WorkingDir: "/",
			Env:        []string{"PATH=/usr/local/bin:/usr/bin:/bin:/"},
		},
		RootFS: layers{Type: "layers", DiffIDs: []string{"sha256:" + hex.EncodeToString(sum.Sum(nil))}},
	})
	if err != nil {
		return err
	}
	about, err := json.Marshal([]manifest{{
		Config: "config.json", RepoTags: []string{i.Name}, Layers: []string{"layer.tar"},
	}})
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	if err := add(t, "manifest.json", about); err != nil {
		return err
	}
	if err := add(t, "config.json", config); err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Name: "layer.tar", Mode: 0o644, Size: sum.size}); err != nil {
		return err
	}
	if err := i.layer(t); err != nil {
		return err
	}
	return t.Close()
}

func (i Image) check() error {
	if i.Name == "" || len(i.Entrypoint) == 0 {
		return errors.New("an image needs a name and an entrypoint")
	}
	for name := range i.Files {
		if !path.IsAbs(name) || path.Clean(name) != name || name == "/" {
			return fmt.Errorf("path in image %q is not absolute and clean", name)
		}
	}
	return nil
}

// layer writes the files and the directories above them, executable for all.
func (i Image) layer(w io.Writer) error {
	t := tar.NewWriter(w)
	made := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(i.Files)) {
		for at, c := range name {
			dir := strings.TrimPrefix(name[:at+1], "/")
			if c != '/' || dir == "" || made[dir] {
				continue
			}
			made[dir] = true
			if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}); err != nil {
				return err
			}
		}
		if err := addFile(t, strings.TrimPrefix(name, "/"), i.Files[name]); err != nil {
			return err
		}
	}
	return t.Close()
}

func addFile(t *tar.Writer, name, source string) error {
	f, err := os.Open(source)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%q is not a file", source)
	}
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(t, f)
	return err
}

func add(t *tar.Writer, name string, content []byte) error {
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := t.Write(content)
	return err
}

// counter is a hash that knows how much went into it.
type counter struct {
	hash.Hash
	size int64
}

func (c *counter) Write(b []byte) (int, error) {
	c.size += int64(len(b))
	return c.Hash.Write(b)
}
