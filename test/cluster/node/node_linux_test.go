package node

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/strongkeep/strongkeep/test/cluster/slot"
)

func TestParseCgroupMounts(t *testing.T) {
	for name, c := range map[string]struct {
		mountinfo string
		want      []string
	}{
		"version 1 and 2": {
			"22 27 0:21 / /proc rw,relatime - proc proc rw\n" +
				"31 30 0:26 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n" +
				"40 30 0:35 / /sys/fs/cgroup/unified rw,relatime shared:5 master:2 - cgroup2 none rw\n",
			[]string{"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/unified"},
		},
		"version 2": {
			"30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
			[]string{"/sys/fs/cgroup"},
		},
		"cut short": {"30 23\n\nx - cgroup2\n", nil},
	} {
		if got := parseCgroupMounts(c.mountinfo); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestRemoveTreeTakesDirectoriesOnly(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "c", "pods", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := removeTree(filepath.Join(root, "c")); err != nil {
		t.Error(err)
	}
	if err := removeTree(filepath.Join(root, "c")); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := os.WriteFile(filepath.Join(root, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := removeTree(root); err == nil {
		t.Error("removed a directory with a file, which is no cgroup")
	}
}

func TestConfigsAreOfTheCluster(t *testing.T) {
	s := Spec{Dir: t.TempDir(), Number: 7}
	if err := writeConfigs(s); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(s.path("cni/10-ptp.conflist"))
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(b) || !strings.Contains(string(b), slot.Number(7).Pods().String()) {
		t.Errorf("CNI configuration %s", b)
	}
	if root := kubeletConfig(s, Credentials{})["cgroupRoot"]; root != "/"+slot.Number(7).Cgroup() {
		t.Errorf("cgroup root %v", root)
	}
}

// Guards the masks: a node sees empty system directories, its own state in them,
// and no longer shares mounts with the host.
func TestMountAll(t *testing.T) {
	if dir := os.Getenv("TEST_MOUNT_ALL"); dir != "" {
		mountAndLook(t, Spec{State: dir, Dir: filepath.Join(dir, "node"), LogDir: filepath.Join(dir, "log")})
		return
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: mounting needs root")
	}
	dir, err := os.MkdirTemp("/run", "mount-all-") // a directory that will be masked
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, sub := range []string{"node", "log"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMountAll$", "-test.v")
	cmd.Env = append(os.Environ(), "TEST_MOUNT_ALL="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("in namespaces: %v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "node", "kubelet", "made")); err != nil {
		t.Errorf("the kubelet's directory is not that of the state: %v", err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), kubeletDir) {
		t.Errorf("mounts reached the host: %v\n%s", err, mounts)
	}
}

func mountAndLook(t *testing.T, s Spec) {
	if err := mountAll(s); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{s.State, s.Dir, s.LogDir} {
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("state is masked: %v", err)
		}
	}
	if err := os.WriteFile(filepath.Join(kubeletDir, "made"), nil, 0o600); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir("/var/lib")
	if err != nil || len(entries) != 2 {
		t.Errorf("/var/lib holds %v, %v; want only containerd and kubelet", entries, err)
	}
	setting := "/proc/sys/kernel/panic"
	before, err := os.ReadFile(setting)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(setting, []byte("77"), 0); err != nil {
		t.Errorf("a kubelet could not set %s: %v", setting, err)
	}
	if err := syscall.Unmount(setting, 0); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(setting); err != nil || string(after) != string(before) {
		t.Errorf("%s of the host is %q, was %q, %v", setting, after, before, err)
	}
}
