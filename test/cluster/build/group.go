package build

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// group is a set of programs built in one module.
type group struct {
	name   string
	module string // whose version the group bears
	// env, tags and stamp are what `go build` gets beside what it always gets.
	env   []string
	tags  string
	stamp string // linker flags; VERSION is replaced
	// programs in the order in which they are built, name before package.
	programs [][2]string
	// files, if there are any, take the place of those of the module, which is then
	// built in a copy of its source, with its own go.mod and go.sum.
	files map[string]string
}

// Scope says how much of a cluster is wanted.
type Scope int

const (
	// ControlPlane needs nothing but Go.
	ControlPlane Scope = iota
	// Node needs a C compiler, libseccomp and, to run, CNI plugins and root.
	Node
	// Etcd is etcd alone, for tests of what is stored in it.
	Etcd
	// Original is the External Secrets Operator alone, for tests of taking over from it.
	Original
)

func groups(s Scope) []group {
	g := []group{
		{
			name: "etcd", module: "go.etcd.io/etcd/server/v3",
			env: []string{"CGO_ENABLED=0"},
			programs: [][2]string{
				{"etcd", "go.etcd.io/etcd/server/v3"},
				{"etcdctl", "go.etcd.io/etcd/etcdctl/v3"},
			},
		},
		{
			name: "kubernetes", module: "k8s.io/kubernetes",
			env: []string{"CGO_ENABLED=0"},
			// Without it clients see v0.0.0.
			stamp: "-X k8s.io/component-base/version.gitVersion=VERSION",
			programs: [][2]string{
				{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"},
				{"kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"},
				{"kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"},
				{"kubectl", "k8s.io/kubernetes/cmd/kubectl"},
				{"kubelet", "k8s.io/kubernetes/cmd/kubelet"},
				{"kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"},
			},
		},
	}
	switch s {
	case ControlPlane:
		return g
	case Etcd:
		return g[:1]
	case Original:
		return []group{original()}
	}
	return append(g,
		group{
			name: "containerd", module: "github.com/containerd/containerd/v2",
			env:  []string{"CGO_ENABLED=0"},
			tags: "no_btrfs no_zfs no_devmapper",
			programs: [][2]string{
				{"containerd", "github.com/containerd/containerd/v2/cmd/containerd"},
				{"containerd-shim-runc-v2", "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"},
				{"ctr", "github.com/containerd/containerd/v2/cmd/ctr"},
			},
		},
		group{
			name: "runc", module: "github.com/opencontainers/runc",
			env: []string{"CGO_ENABLED=1"}, tags: "seccomp",
			programs: [][2]string{{"runc", "github.com/opencontainers/runc"}},
		},
	)
}

// args are those of `go build` for one program, but for the output.
func (g group) args(version string) []string {
	ldflags := "-s -w " + strings.ReplaceAll(g.stamp, "VERSION", version)
	return []string{
		"build", "-trimpath", "-buildvcs=false", "-mod=readonly",
		"-tags", g.tags, "-ldflags", strings.TrimSpace(ldflags),
	}
}

// version is that of the group's module in the go.mod in dir.
func (g group) version(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", fmt.Errorf("reading module of %s: %w", g.name, err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(f) >= 2 && f[0] == g.module && strings.HasPrefix(f[1], "v") {
			return f[1], nil
		}
	}
	return "", fmt.Errorf("%s does not require %s", filepath.Join(dir, "go.mod"), g.module)
}

// key names the group's directory in the cache: it changes with whatever
// changes the programs.
func (g group) key(dir string) (string, error) {
	version, err := g.version(dir)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", fmt.Errorf("hashing module of %s: %w", g.name, err)
		}
		_, _ = fmt.Fprintf(h, "%s %d\n%s", name, len(b), b)
	}
	_, _ = fmt.Fprintf(h, "%q %q %v %s %s/%s", g.args(version), g.env, g.programs,
		runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if len(g.files) > 0 {
		_, _ = fmt.Fprintf(h, " %q", g.files) // in the order of their names
	}
	return g.name + "-" + version + "-" + hex.EncodeToString(h.Sum(nil))[:12], nil
}

// cacheDir is where everything built is kept.
func cacheDir() (string, error) {
	if d := os.Getenv("STRONGKEEP_CACHE"); d != "" {
		return filepath.Abs(d)
	}
	d, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding a cache (set STRONGKEEP_CACHE to a directory): %w", err)
	}
	return filepath.Join(d, "strongkeep"), nil
}

// sourceDir is the folder of this package in the checkout.
func sourceDir() (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		if _, err := os.Stat(file); err == nil {
			return filepath.Dir(file), nil
		}
	}
	// Built with -trimpath: look from the working directory.
	wd, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the checkout: %w", err)
	}
	for d := wd; ; d = filepath.Dir(d) {
		dir := filepath.Join(d, "test", "cluster", "build")
		if _, err := os.Stat(filepath.Join(dir, "kubernetes", "go.mod")); err == nil {
			return dir, nil
		}
		if d == filepath.Dir(d) {
			return "", errors.New("finding the checkout: run this in a checkout of strongkeep, which holds the modules to build")
		}
	}
}
