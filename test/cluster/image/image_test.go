package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestArchiveHoldsWhatContainerdReads(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "binary")
	if err := os.WriteFile(binary, []byte("#!static"), 0o600); err != nil {
		t.Fatal(err)
	}
	i := Image{
		Name:       "localhost/probe:1",
		Files:      map[string]string{"/probe": binary, "/etc/ssl/certs/ca.crt": binary},
		Entrypoint: []string{"/probe", "serve"},
	}
	var archive bytes.Buffer
	if err := i.write(&archive); err != nil {
		t.Fatal(err)
	}
	files := read(t, &archive)

	var about []manifest
	decode(t, files["manifest.json"], &about)
	want := []manifest{{Config: "config.json", RepoTags: []string{i.Name}, Layers: []string{"layer.tar"}}}
	if !reflect.DeepEqual(about, want) {
		t.Errorf("manifest %+v", about)
	}
	var config imageConfig
	decode(t, files["config.json"], &config)
	if !reflect.DeepEqual(config.Config.Entrypoint, i.Entrypoint) {
		t.Errorf("entrypoint %q", config.Config.Entrypoint)
	}
	sum := sha256.Sum256(files["layer.tar"])
	if got, want := config.RootFS.DiffIDs, []string{"sha256:" + hex.EncodeToString(sum[:])}; !reflect.DeepEqual(got, want) {
		t.Errorf("digest of layer %q, want %q", got, want)
	}
	layer := read(t, bytes.NewReader(files["layer.tar"]))
	for _, name := range []string{"etc/", "etc/ssl/", "etc/ssl/certs/", "etc/ssl/certs/ca.crt", "probe"} {
		if _, ok := layer[name]; !ok {
			t.Errorf("layer lacks %q", name)
		}
	}
	if string(layer["probe"]) != "#!static" {
		t.Errorf("probe holds %q", layer["probe"])
	}
}

func TestSameImageSameLayer(t *testing.T) {
	i := Image{Name: "a", Entrypoint: []string{"/a"}, Files: map[string]string{"/a": os.Args[0], "/b/c": os.Args[0]}}
	sums := map[string]bool{}
	for range 3 {
		h := sha256.New()
		if err := i.layer(h); err != nil {
			t.Fatal(err)
		}
		sums[string(h.Sum(nil))] = true
	}
	if len(sums) != 1 {
		t.Errorf("%d different layers", len(sums))
	}
}

func TestBadImagesAreRefused(t *testing.T) {
	for name, i := range map[string]Image{
		"no name":       {Entrypoint: []string{"/a"}},
		"no entrypoint": {Name: "a"},
		"relative path": {Name: "a", Entrypoint: []string{"/a"}, Files: map[string]string{"a": os.Args[0]}},
		"dots":          {Name: "a", Entrypoint: []string{"/a"}, Files: map[string]string{"/../a": os.Args[0]}},
		"directory":     {Name: "a", Entrypoint: []string{"/a"}, Files: map[string]string{"/a": os.TempDir()}},
		"no such file":  {Name: "a", Entrypoint: []string{"/a"}, Files: map[string]string{"/a": "/nonexistent"}},
	} {
		if err := i.WriteFile(filepath.Join(t.TempDir(), "x.tar")); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func read(t *testing.T, r io.Reader) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	archive := tar.NewReader(r)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}

func decode(t *testing.T, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}
