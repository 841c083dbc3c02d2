package cluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is how long anything may take on a busy machine.
const patience = 2 * time.Minute

func TestControlPlane(t *testing.T) {
	dir := t.TempDir()
	c := startCluster(t, Config{Dir: dir})
	kubectl(t, c, "", "create", "secret", "generic", "s", "--from-literal=k=in-etcd-as-it-is")

	raw, err := c.Etcdctl(t.Context(), "get", "/registry/secrets/default/s", "--print-value-only")
	if err != nil || !bytes.Contains(raw, []byte("in-etcd-as-it-is")) {
		t.Errorf("etcd holds %q, %v", raw, err)
	}
	if _, err := c.NodeCommand(t.Context(), "true"); !errors.Is(err, ErrNoNode) {
		t.Errorf("NodeCommand: %v", err)
	}
	_, err = c.Kubectl(t.Context(), nil, "get", "secret", "missing")
	if err == nil || !strings.Contains(err.Error(), "NotFound") {
		t.Errorf("kubectl's standard error is lost: %v", err)
	}

	path, err := c.ServiceAccountKubeconfig(t.Context(), "default", "default")
	if err != nil {
		t.Fatal(err)
	}
	who := kubectl(t, c, "", "--kubeconfig", path, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
	if who != "system:serviceaccount:default:default" {
		t.Errorf("kubeconfig of the ServiceAccount is that of %q", who)
	}

	if _, err := Start(t.Context(), Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "running cluster") {
		t.Errorf("second cluster in the same directory: %v", err)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(c.LogDir(), "kube-apiserver.log")); err != nil {
		t.Errorf("a directory of the caller's lost its logs: %v", err)
	}
	noProcessMentions(t, dir)
}

// Guards against an API server that cannot start being waited for in vain, and
// against silence about why.
func TestFailureShowsTheLogAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	begin := time.Now()
	c, err := Start(t.Context(), Config{Dir: dir, APIServerFlags: []string{"--no-such-flag"}})
	if err == nil {
		c.Stop()
		t.Fatal("started with a flag that does not exist")
	}
	for _, want := range []string{"kube-apiserver has ended", "unknown flag: --no-such-flag", dir} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	if took := time.Since(begin); took > patience/4 {
		t.Errorf("took %v to notice", took)
	}
	noProcessMentions(t, dir)
}

func TestCancelledStartLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	log := writerFunc(func(line string) {
		if strings.Contains(line, "API server ready") {
			cancel()
		}
	})
	c, err := Start(ctx, Config{Dir: dir, Log: log})
	if err == nil {
		c.Stop()
		t.Skip("SKIPPED: the control plane was ready before it could be cancelled")
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Start: %v", err)
	}
	noProcessMentions(t, dir)
}

func TestDirWithOtherFilesIsRefused(t *testing.T) {
	precious := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(precious, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Config{Dir: filepath.Dir(precious)}); err == nil {
		t.Error("started in a directory with other files")
	}
	if _, err := os.Stat(precious); err != nil {
		t.Errorf("a file that is not ours: %v", err)
	}
}

func TestNodes(t *testing.T) {
	needRoot(t)
	// Both are up at once, begin together and run the same pod.
	var clusters [2]*Cluster
	log, rules, settings := logTo(t), hostRules(t), kernelSettings(t)
	t.Run("start", func(t *testing.T) {
		for i := range clusters {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				c, err := Start(context.Background(), Config{Node: true, Log: log})
				if err != nil {
					t.Fatal(err)
				}
				clusters[i] = c
			})
		}
	})
	for i, c := range clusters {
		if c == nil {
			continue
		}
		defer c.Stop()
		t.Run(fmt.Sprintf("pod in %d", i), func(t *testing.T) { testPod(t, c) })
	}
	if t.Failed() {
		return
	}
	if clusters[0].HostIP() == clusters[1].HostIP() {
		t.Errorf("both clusters have %s", clusters[0].HostIP())
	}
	t.Run("node command", func(t *testing.T) { testNodeCommand(t, clusters[0]) })
	t.Run("killed node command", func(t *testing.T) { testKilledNodeCommand(t, clusters[0]) })
	t.Run("stop", func(t *testing.T) {
		for i, c := range clusters {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				testStop(t, c)
			})
		}
	})
	unchanged(t, rules, settings)
}

// testPod follows a pod of our own image through all that tests will want of a
// node.
func testPod(t *testing.T, c *Cluster) {
	l, err := net.Listen("tcp", net.JoinHostPort(c.HostIP(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	host := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "served by "+c.HostIP())
	}))
	host.Listener.Close()
	host.Listener = l
	host.Start()
	defer host.Close()

	begin := time.Now()
	runProbe(t, c, host.URL)
	for _, want := range []string{
		"user=system:serviceaccount:default:default", "host=served by " + c.HostIP(), "secret=first",
	} {
		awaitLog(t, c, want)
	}
	t.Logf("pod ran and was heard after %v", time.Since(begin))

	begin = time.Now()
	kubectl(t, c, `{"stringData":{"value":"second"}}`, "patch", "secret", "s", "--patch-file=/dev/stdin")
	awaitLog(t, c, "secret=second")
	t.Logf("Secret volume followed after %v", time.Since(begin))

	if out := kubectl(t, c, "", "exec", "probe", "--", "/probe", "say", "hello"); out != "hello" {
		t.Errorf("exec printed %q", out)
	}
	ip := kubectl(t, c, "", "get", "service", "probe", "-o", "jsonpath={.spec.clusterIP}")
	eventually(t, "Service of a pod reached from the host", func() error {
		r, err := http.Get("http://" + ip)
		if err != nil {
			return err
		}
		defer r.Body.Close()
		if b, _ := io.ReadAll(r.Body); string(b) != "served by a pod" {
			return fmt.Errorf("got %q", b)
		}
		return nil
	})
}

func testNodeCommand(t *testing.T, c *Cluster) {
	cmd, err := c.NodeCommand(t.Context(), "hostname")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != c.NodeName() {
		t.Errorf("hostname in the node: %q, %v", out, err)
	}
}

// Guards against programs that stay in the node when their test has ended.
func testKilledNodeCommand(t *testing.T, c *Cluster) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd, err := c.NodeCommand(ctx, "sh", "-c", "echo started; exec sleep 4242")
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "started\n" {
		t.Fatalf("program said %q, %v", line, err)
	}
	cancel()
	cmd.Wait()
	eventually(t, "the program to end", func() error {
		if out, err := exec.Command("pgrep", "-f", "sleep 4242").Output(); err == nil {
			return fmt.Errorf("still there: %s", out)
		}
		return nil
	})
}

const probeManifest = `{"apiVersion":"v1","kind":"List","items":[
{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"stringData":{"value":"first"}},
{"apiVersion":"v1","kind":"Service","metadata":{"name":"probe"},
 "spec":{"selector":{"app":"probe"},"ports":[{"port":80,"targetPort":8080}]}},
{"apiVersion":"v1","kind":"Pod","metadata":{"name":"probe","labels":{"app":"probe"}},"spec":{
 "containers":[{"name":"probe","image":"localhost/probe:1","env":[{"name":"HOST_URL","value":%q}],
  "securityContext":{"runAsUser":65532,"readOnlyRootFilesystem":true},
  "volumeMounts":[{"name":"s","mountPath":"/secret"}]}],
 "volumes":[{"name":"s","secret":{"secretName":"s"}}]}}]}`

// runProbe builds the probe, loads it and creates its pod.
func runProbe(t *testing.T, c *Cluster, hostURL string) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "probe")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "./testdata/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building probe: %v\n%s", err, out)
	}
	err := c.LoadImage(t.Context(), "localhost/probe:1", map[string]string{"/probe": binary}, "/probe")
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, c, fmt.Sprintf(probeManifest, hostURL), "create", "-f", "-")
}

func awaitLog(t *testing.T, c *Cluster, want string) {
	t.Helper()
	eventually(t, want+" in the log of the pod", func() error {
		out, err := c.Kubectl(t.Context(), nil, "logs", "probe")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(out)) {
			if strings.TrimSpace(line) == want {
				return nil
			}
		}
		return fmt.Errorf("log is %q", out)
	})
}

// startCluster starts a cluster that ends with the test.
func startCluster(t *testing.T, config Config) *Cluster {
	t.Helper()
	config.Log = logTo(t)
	c, err := Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func kubectl(t *testing.T, c *Cluster, stdin string, args ...string) string {
	t.Helper()
	out, err := c.Kubectl(t.Context(), strings.NewReader(stdin), args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// eventually asks until there is no error.
func eventually(t *testing.T, what string, ask func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: a node needs root; run the tests as root to cover nodes")
	}
}

// writerFunc is a Config.Log.
type writerFunc func(line string)

func (f writerFunc) Write(b []byte) (int, error) {
	f(strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}

func logTo(t *testing.T) io.Writer { return writerFunc(func(line string) { t.Log(line) }) }
