package encryption_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/rewrite"
	"github.com/strongkeep/strongkeep/internal/testenv/port"
	"github.com/strongkeep/strongkeep/test/encryption/page"
)

// controlNode is a control-plane node: an API server, and the file that it has.
type controlNode struct {
	*testing.T
	url, file string
	client    kubernetes.Interface
	servers   []string // pairs: what the page calls the API servers, and what they are
	flags     []string // of every command, beside those of the page
}

// beginning is where these nodes start: nobody else uses pod templates.
const beginning = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [podtemplates] # kept
  providers:
  - identity: {}
`

func newControlNode(t *testing.T) *controlNode {
	t.Helper()
	n := &controlNode{T: t, file: filepath.Join(t.TempDir(), "encryption.yaml")}
	if err := os.WriteFile(n.file, []byte(beginning), 0o600); err != nil {
		t.Fatal(err)
	}
	number, err := port.Free("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	s, err := env.server.AddAPIServer(t.Context(), number, func(ctx context.Context, url string) error {
		cfg := rest.CopyConfig(env.server.REST)
		cfg.Host, n.url = url, url
		var err error
		if n.client, err = kubernetes.NewForConfig(cfg); err != nil {
			return err
		}
		return isReady(ctx, n.client)
	}, "--encryption-provider-config="+n.file, "--encryption-provider-config-automatic-reload=true")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop(time.Second) })
	return n
}

// page runs the command of docs/encryption.md that begins so.
func (n *controlNode) page(code int, args []string, want ...string) {
	n.Helper()
	n.strongkeep(code, args[1:], want...)
}

// strongkeep runs a command on the node, and expects its exit code and words of its.
func (n *controlNode) strongkeep(code int, args []string, want ...string) {
	n.Helper()
	var out bytes.Buffer
	e := session.Env{Stdout: &out, Stderr: &out, Stdin: strings.NewReader(""), Getenv: func(string) string { return "" }}
	args = append(append([]string{"encryption"}, args...), n.flags...)
	if got := cli.Main(append(args, "-file="+n.file), e); got != code {
		n.Fatalf("strongkeep %v: exit code %d, want %d:\n%s", args, got, code, &out)
	}
	said := strings.Join(strings.Fields(out.String()), " ") // columns are as wide as they have to be
	for _, w := range want {
		if !strings.Contains(said, w) {
			n.Errorf("strongkeep %v does not say %q:\n%s", args, w, &out)
		}
	}
}

// template makes a pod template by this node's API server, which every other reads.
func (n *controlNode) template(name string, others ...*controlNode) {
	n.Helper()
	o := &corev1.PodTemplate{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"password": canary}}}
	o.Template.Spec.Containers = []corev1.Container{{Name: "a", Image: "a"}}
	if _, err := n.client.CoreV1().PodTemplates("default").Create(n.Context(), o, metav1.CreateOptions{}); err != nil {
		n.Fatal(err)
	}
	for _, other := range others {
		got, err := other.client.CoreV1().PodTemplates("default").Get(n.Context(), name, metav1.GetOptions{})
		if err != nil || got.Annotations["password"] != canary {
			n.Errorf("reading %s from the other API server: %v", name, err)
		}
	}
}

// takeAway takes identity away from two nodes, when etcd shows that nothing needs it.
func takeAway(one, two *controlNode, plan []string) {
	one.Helper()
	final := page.Command(one, "encryption configure -final", append(onPage(), one.servers...)...)
	one.page(6, final, "values of podtemplates in etcd are under clear")
	cfg := rest.CopyConfig(env.server.REST)
	cfg.Host = one.url
	if r, err := rewrite.Run(one.Context(), rewrite.Config{REST: cfg, By: rewrite.Ourselves, Resources: []string{"podtemplates"}}); err != nil || r.Refused > 0 {
		one.Fatal(r, err)
	}
	one.page(0, final, "1 of 2 do not")
	if text, err := os.ReadFile(one.file); err != nil || strings.Contains(string(text), "identity") {
		one.Errorf("identity is there still, %v:\n%s", err, text)
	}
	one.template("final", two)
	two.template("not-final", one)
	two.page(0, final, "nothing else is left in it")
	two.page(0, plan, "nothing but kms configured is left for podtemplates done")
	for _, n := range []*controlNode{one, two} {
		got, err := n.client.CoreV1().PodTemplates("default").Get(n.Context(), "clear", metav1.GetOptions{})
		if err != nil || got.Annotations["password"] != canary {
			n.Error("reading what was in the clear once:", err)
		}
	}
}

// Two API servers are taken from the clear to encryption and back, each by its own
// file, and each reads at every moment what the other one writes.
func TestConfigure(t *testing.T) {
	one, two := newControlNode(t), newControlNode(t)
	flags := []string{"-kubeconfig=" + env.server.Kubeconfig(), "-manifest=", "-resource=podtemplates", "-name=configured", "-socket=" + env.one.socket()}
	servers := []string{"https://10.0.0.1:6443", one.url, "https://10.0.0.2:6443", two.url}
	for _, n := range []*controlNode{one, two} {
		n.flags, n.servers = flags, servers
	}
	plan := page.Command(t, "encryption plan", servers...)
	configure := page.Command(t, "encryption configure -server", servers...)
	back := page.Command(t, "encryption configure -back", servers...)
	one.strongkeep(0, []string{"status", "-server=" + one.url, "-server=" + two.url}, one.url, "it does not know the provider")
	one.page(0, plan, "can read podtemplates with kms configured next", "later")
	one.template("clear", two)

	one.page(0, configure, "1 of 2 do not")
	one.template("ahead", two)
	two.template("behind", one)
	one.page(6, configure, "is not ready for the next step")
	one.page(0, plan, "waits")
	two.page(0, configure, "Run this again for the next step")

	two.page(0, configure, "1 of 2 do not")
	two.template("encrypted", one)
	one.template("not-yet", two)
	if value := at(t, "/registry/podtemplates/default/encrypted"); !bytes.HasPrefix(value, []byte("k8s:enc:kms:v2:configured:")) || bytes.Contains(value, []byte(canary)) {
		t.Error("what the second API server writes is in the clear")
	}
	one.page(0, configure, "it is the last one")
	one.strongkeep(0, []string{"status", "-server=" + one.url, "-server=" + two.url}, "it writes with the provider")
	one.page(0, plan, "writes podtemplates with kms configured done", "not checked")

	takeAway(one, two, plan)

	one.page(0, back, "1 of 2 do not") // identity has its place again
	two.page(0, back, "Run this again for the next step")
	one.page(0, back, "1 of 2 do not")
	one.template("back", two)
	two.template("still", one)
	if value := at(t, "/registry/podtemplates/default/back"); !bytes.Contains(value, []byte(canary)) {
		t.Error("on the way back the first API server does not write in the clear")
	}
	if text, err := os.ReadFile(one.file); err != nil || !strings.Contains(string(text), "# kept") {
		t.Error("the comment is gone:", err)
	}
}
