package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/strongkeep/strongkeep/test/cluster/image"
	"github.com/strongkeep/strongkeep/test/cluster/process"
)

const (
	// InitCommand is the argument by which our program becomes Init.
	InitCommand = "node"
	// ExecCommand is the argument by which it becomes the program in the
	// arguments that follow; see Exec.
	ExecCommand = "exec"
)

// runtimeTimeout is how long containerd may take to listen.
const runtimeTimeout = 60 * time.Second

// Init is the first process of a node. It reads a Spec and Credentials from r
// and returns only when something went wrong.
func Init(r io.Reader) error {
	if os.Getpid() != 1 {
		return errors.New("this is the first process of a node and nothing to call by hand")
	}
	d := json.NewDecoder(r)
	var s Spec
	if err := d.Decode(&s); err != nil {
		return fmt.Errorf("reading node: %w", err)
	}
	if err := prepare(s); err != nil {
		return fmt.Errorf("preparing node: %w", err)
	}
	runtime, err := startRuntime(s)
	if err != nil {
		return fmt.Errorf("starting container runtime: %w", err)
	}
	var c Credentials
	if err := d.Decode(&c); err != nil {
		return runtime.Explain(fmt.Errorf("reading credentials: %w", err))
	}
	kubelet, err := startKubelet(s, c)
	if err != nil {
		return err
	}
	proxy, err := startProxy(s, c)
	if err != nil {
		return err
	}
	go reap()
	ended := errors.New("a part of the node has ended")
	select {
	case <-runtime.Done():
		return runtime.Explain(ended)
	case <-kubelet.Done():
		return kubelet.Explain(ended)
	case <-proxy.Done():
		return proxy.Explain(ended)
	}
}

// reap collects the orphans that become children of the first process. It may
// take the exit status of a child that a Process waits for, which then still
// learns that it has ended.
func reap() {
	for {
		_, err := syscall.Wait4(-1, nil, 0, nil)
		if errors.Is(err, syscall.ECHILD) {
			time.Sleep(time.Second)
		}
	}
}

func prepare(s Spec) error {
	if err := setHostname(Name); err != nil {
		return fmt.Errorf("setting host name: %w", err)
	}
	if err := mountAll(s); err != nil {
		return err
	}
	err := ip(
		"link set lo up",
		fmt.Sprintf("address add %s/30 dev eth0", s.Number.NodeIP()),
		"link set eth0 up",
		fmt.Sprintf("route add default via %s", s.Number.HostIP()),
	)
	if err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return fmt.Errorf("enabling forwarding: %w", err)
	}
	return writeConfigs(s)
}

// startRuntime returns when containerd listens and has the image it needs for
// every pod.
func startRuntime(s Spec) (*process.Process, error) {
	containerd, err := process.Start(process.Config{
		Name:   "containerd",
		Path:   s.Programs["containerd"],
		Args:   []string{"--config", s.path("containerd.toml"), "--log-level", "warn"},
		Env:    []string{"PATH=" + searchPath(s)},
		LogDir: s.LogDir,
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), runtimeTimeout)
	defer cancel()
	listens := func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", runtimeSocket)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	if err := containerd.Await(ctx, listens); err != nil {
		return nil, err
	}
	pause := image.Image{
		Name:       PauseImage,
		Files:      map[string]string{"/pause": s.Programs["pause"]},
		Entrypoint: []string{"/pause"},
	}
	archive := s.path("pause.tar")
	if err := pause.WriteFile(archive); err != nil {
		return nil, err
	}
	cmd := ImportCommand(s.Programs["ctr"], archive)
	if out, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("importing pause image: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return containerd, nil
}

// ImportCommand returns a command that, run in the node, makes the images in an archive known to the
// kubelet.
func ImportCommand(ctr, archive string) []string {
	return []string{ctr, "--address", runtimeSocket, "--namespace", "k8s.io", "images", "import", archive}
}

func startKubelet(s Spec, c Credentials) (*process.Process, error) {
	if err := writeJSON(s.path("kubelet.json"), kubeletConfig(s, c)); err != nil {
		return nil, err
	}
	return process.Start(process.Config{
		Name: "kubelet",
		Path: s.Programs["kubelet"],
		Args: []string{
			"--config=" + s.path("kubelet.json"),
			"--kubeconfig=" + c.KubeletKubeconfig,
			"--hostname-override=" + Name,
			"--node-ip=" + s.Number.NodeIP().String(),
			"--root-dir=" + kubeletDir,
		},
		Env:    []string{"PATH=" + searchPath(s)},
		LogDir: s.LogDir,
	})
}

func startProxy(s Spec, c Credentials) (*process.Process, error) {
	if err := writeJSON(s.path("kube-proxy.json"), proxyConfig(s, c)); err != nil {
		return nil, err
	}
	return process.Start(process.Config{
		Name:   "kube-proxy",
		Path:   s.Programs["kube-proxy"],
		Args:   []string{"--config=" + s.path("kube-proxy.json")},
		Env:    []string{"PATH=" + searchPath(s)},
		LogDir: s.LogDir,
	})
}

// searchPath puts our runc before whatever the host has.
func searchPath(s Spec) string {
	dirs := []string{
		filepath.Dir(s.Programs["runc"]), filepath.Dir(s.Programs["containerd"]),
		"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
	}
	return strings.Join(dirs, ":")
}
