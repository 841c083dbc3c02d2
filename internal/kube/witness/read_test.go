package witness

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	podUID = "6d1c3b1e-4f53-4f0e-9d3c-5f4a5d1f6d0a"
	canary = "canary-77f2"
)

func digestOf(key []byte, value string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(value))
	return m.Sum(nil)
}

// kubelet lays a volume out as the kubelet's atomic writer does: files are links
// into ..data, which is a link to a folder of this version.
func kubelet(t testing.TB, volume string, files map[string]string) {
	t.Helper()
	version := "..2026_11_21_" + time.Now().Format("150405.000000000")
	for name, content := range files {
		p := filepath.Join(volume, version, name)
		must(t, os.MkdirAll(filepath.Dir(p), 0o755))
		must(t, os.WriteFile(p, []byte(content), 0o600))
	}
	tmp := filepath.Join(volume, "..data_tmp")
	must(t, os.Symlink(version, tmp))
	must(t, os.Rename(tmp, filepath.Join(volume, "..data")))
	for name := range files {
		first, _, _ := strings.Cut(name, "/")
		if err := os.Symlink(filepath.Join("..data", first), filepath.Join(volume, first)); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB) (*Reader, string) {
	t.Helper()
	dir := t.TempDir()
	r, err := OpenReader(dir)
	must(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r, dir
}

func TestDigest(t *testing.T) {
	r, dir := open(t)
	volumes := filepath.Join(dir, podUID, "volumes")
	kubelet(t, filepath.Join(volumes, "kubernetes.io~secret", "db"), map[string]string{"password": canary, "deep/er/file": "x"})
	kubelet(t, filepath.Join(volumes, "kubernetes.io~projected", "all"), map[string]string{"db/password": canary})
	kubelet(t, filepath.Join(volumes, "kubernetes.io~csi", "store", "mount"), map[string]string{"password": canary})
	key := bytes.Repeat([]byte{7}, KeySize)
	for _, tc := range []struct{ volume, path, want string }{
		{"db", "password", canary}, {"db", "deep/er/file", "x"}, {"all", "db/password", canary}, {"store", "password", canary},
	} {
		if said := r.Digest(key, File{podUID, tc.volume, tc.path}); !bytes.Equal(said.Digest, digestOf(key, tc.want)) || said.Reason != "" {
			t.Errorf("%s/%s: %+v", tc.volume, tc.path, said)
		}
	}
	// The kubelet replaces all files at once; a read is of one version or the other.
	kubelet(t, filepath.Join(volumes, "kubernetes.io~secret", "db"), map[string]string{"password": "new"})
	if said := r.Digest(key, File{podUID, "db", "password"}); !bytes.Equal(said.Digest, digestOf(key, "new")) {
		t.Errorf("after a change: %+v", said)
	}
	if said := r.Digest(key, File{podUID, "db", "none"}); said.Reason != "there is no such file" {
		t.Errorf("%+v", said)
	}
	if said := r.Digest(key, File{podUID, "other", "password"}); said.Reason != "the pod has no such volume here" {
		t.Errorf("%+v", said)
	}
	// A static pod's UID has no dashes.
	if said := r.Digest(key, File{strings.ReplaceAll(podUID, "-", ""), "db", "password"}); said.Reason != "the pod has no such volume here" {
		t.Errorf("%+v", said)
	}
}

// Nothing but files of one volume is read, whatever is asked for and whatever
// lies in a volume that a container writes.
func TestDigestStaysInTheVolume(t *testing.T) {
	r, dir := open(t)
	must(t, os.WriteFile(filepath.Join(dir, "outside"), []byte(canary), 0o600))
	volumes := filepath.Join(dir, podUID, "volumes")
	must(t, os.MkdirAll(filepath.Join(volumes, "kubernetes.io~empty-dir", "scratch"), 0o755))
	must(t, os.WriteFile(filepath.Join(volumes, "kubernetes.io~empty-dir", "scratch", "f"), []byte(canary), 0o600))
	kubelet(t, filepath.Join(volumes, "kubernetes.io~secret", "other"), map[string]string{"password": canary})
	v := filepath.Join(volumes, "kubernetes.io~csi", "store", "mount")
	must(t, os.MkdirAll(filepath.Join(v, "folder"), 0o755))
	for name, to := range map[string]string{
		"absolute": filepath.Join(dir, "outside"), "climbing": "../../../../../outside", "sibling": "../../../kubernetes.io~secret/other/password",
		"loop": "loop", "passwd": "/etc/passwd", "up": "..",
	} {
		must(t, os.Symlink(to, filepath.Join(v, name)))
	}
	must(t, syscall.Mkfifo(filepath.Join(v, "pipe"), 0o600))
	large, err := os.Create(filepath.Join(v, "large"))
	must(t, err)
	must(t, large.Truncate(MaxFile+1))
	must(t, large.Close())
	must(t, os.Symlink(filepath.Join(volumes, "kubernetes.io~secret", "other"), filepath.Join(volumes, "kubernetes.io~secret", "linked")))
	must(t, os.Symlink("../../../../..", filepath.Join(volumes, "kubernetes.io~secret", "climber")))
	key := bytes.Repeat([]byte{7}, KeySize)
	for _, f := range []File{
		{podUID, "store", "absolute"}, {podUID, "store", "climbing"}, {podUID, "store", "sibling"}, {podUID, "store", "loop"}, {podUID, "store", "passwd"},
		{podUID, "store", "up/mount/folder"}, {podUID, "store", "folder"}, {podUID, "store", "pipe"}, {podUID, "store", "large"},
		{podUID, "store", "../store/mount/x"}, {podUID, "store", "/etc/passwd"}, {podUID, "store", ""}, {podUID, "store", "."}, {podUID, "store", ".."},
		{podUID, "store", "a//b"}, {podUID, "store", "folder/"}, {podUID, "store", "folder/../pipe"}, {podUID, "store", strings.Repeat("a", 2000)},
		{podUID, "store", "nul\x00"}, {podUID, "store", `a\b`},
		{podUID, "..", "outside"}, {podUID, "store/../..", "x"}, {podUID, "STORE", "x"}, {podUID, "", "x"}, {podUID, "a.b", "x"}, {podUID, strings.Repeat("a", 64), "x"},
		{"..", "store", "x"}, {"", "store", "x"}, {podUID + "/..", "store", "x"}, {"6D1C3B1E-4f53-4f0e-9d3c-5f4a5d1f6d0a", "store", "x"},
		{podUID, "scratch", "f"}, {podUID, "linked", "../../../../outside"}, {podUID, "climber", "outside"},
	} {
		said := r.Digest(key, f)
		if said.Digest != nil || said.Reason == "" {
			t.Errorf("%+v was answered: %+v", f, said)
		}
		if strings.Contains(said.Reason, dir) || strings.Contains(said.Reason, canary) {
			t.Errorf("%+v: the reason tells more than it should: %s", f, said.Reason)
		}
	}
}

func FuzzDigest(f *testing.F) {
	r, dir := open(f)
	must(f, os.WriteFile(filepath.Join(dir, "outside"), []byte(canary), 0o600))
	kubelet(f, filepath.Join(dir, podUID, "volumes", "kubernetes.io~secret", "db"), map[string]string{"password": "x"})
	f.Add(podUID, "db", "password")
	f.Add(podUID, "db", "../../../../outside")
	f.Add("..", "..", "outside")
	key := bytes.Repeat([]byte{7}, KeySize)
	forbidden := digestOf(key, canary)
	f.Fuzz(func(t *testing.T, pod, volume, path string) {
		said := r.Digest(key, File{pod, volume, path})
		if bytes.Equal(said.Digest, forbidden) {
			t.Errorf("%q %q %q reads what is outside", pod, volume, path)
		}
		if (said.Digest == nil) == (said.Reason == "") {
			t.Errorf("%+v", said)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","files":[{"pod":"p","volume":"v","path":"x"}]}`))
	f.Add([]byte(`{"key":"","files":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := parse(bytes.NewReader(body))
		if err == nil && (len(q.Key) != KeySize || len(q.Files) == 0 || len(q.Files) > MaxFiles) {
			t.Errorf("%+v", q)
		}
	})
}

func BenchmarkDigest(b *testing.B) {
	r, dir := open(b)
	kubelet(b, filepath.Join(dir, podUID, "volumes", "kubernetes.io~secret", "db"), map[string]string{"password": canary})
	key := make([]byte, KeySize)
	b.ReportAllocs()
	for b.Loop() {
		if r.Digest(key, File{podUID, "db", "password"}).Digest == nil {
			b.Fatal("not read")
		}
	}
}
