package kubernetes_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/strongkeep/strongkeep/test/cluster"
)

const image = "localhost/strongkeep:1"

// site is a real node with deploy/server/cluster.yaml on it.
type site struct {
	*testing.T
	*cluster.Cluster
	http  *rest.Config
	token string
}

func newSite(t *testing.T) *site {
	t.Helper()
	if testing.Short() || os.Getuid() != 0 {
		t.Skip("SKIPPED: a real node needs root, and is not short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // the first build of Kubernetes
	defer cancel()
	c, err := cluster.Start(ctx, cluster.Config{Node: true, Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	s := &site{T: t, Cluster: c}
	s.http, err = clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	s.must(err)
	root, err := filepath.Abs("../../..")
	s.must(err)
	binary := filepath.Join(t.TempDir(), "strongkeep")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/strongkeep")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.must(c.LoadImage(ctx, image, map[string]string{"/strongkeep": binary}, "/strongkeep"))
	s.kubectl("", "create", "namespace", "strongkeep")
	s.keys(binary)
	s.deploy(root)
	return s
}

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *site) kubectl(stdin string, args ...string) string {
	s.Helper()
	out, err := s.Kubectl(s.Context(), strings.NewReader(stdin), args...)
	s.must(err)
	return string(out)
}

// keys makes the two Secrets that the manifest needs.
func (s *site) keys(binary string) {
	dir := s.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	raw := make([]byte, 32)
	_, _ = rand.Read(raw)
	s.must(os.WriteFile(file("cluster.key"), fmt.Appendf(nil, "%x\n", raw), 0o600))
	out, err := exec.CommandContext(s.Context(), binary, "operator", "unseal-key", file("unseal.key")).CombinedOutput()
	if err != nil {
		s.Fatalf("%v\n%s", err, out)
	}
	s.kubectl("", "-n", "strongkeep", "create", "secret", "generic", "strongkeep-keys", "--from-file="+file("cluster.key"), "--from-file="+file("unseal.key"))
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	s.must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "strongkeep"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"strongkeep.strongkeep.svc", "*.strongkeep-members.strongkeep.svc"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	s.must(err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	s.must(err)
	s.must(os.WriteFile(file("tls.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600))
	s.must(os.WriteFile(file("tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	s.kubectl("", "-n", "strongkeep", "create", "secret", "tls", "strongkeep-tls", "--cert="+file("tls.crt"), "--key="+file("tls.key"))
}

// deploy applies the manifest as it stands, and then fits it to this cluster, which has
// neither DNS nor storage classes: names are hostAliases of a Service for each pod, and disks
// are on the node, and gone with the pod.
func (s *site) deploy(root string) {
	manifest, err := os.ReadFile(filepath.Join(root, "deploy", "server", "cluster.yaml"))
	s.must(err)
	s.kubectl(string(manifest), "apply", "--server-side", "-f", "-")
	s.kubectl("", "-n", "strongkeep", "delete", "statefulset", "strongkeep", "--wait", "--cascade=foreground")
	var aliases strings.Builder
	for n := range 3 {
		s.kubectl(fmt.Sprintf(`{apiVersion: v1, kind: Service, metadata: {name: pod-%d, namespace: strongkeep}, spec: {
			publishNotReadyAddresses: true, selector: {statefulset.kubernetes.io/pod-name: strongkeep-%d}, ports: [{port: 8201}]}}`, n, n), "create", "-f", "-")
		ip := s.kubectl("", "-n", "strongkeep", "get", "service", fmt.Sprint("pod-", n), "-o", "jsonpath={.spec.clusterIP}")
		fmt.Fprintf(&aliases, "{ip: %s, hostnames: [strongkeep-%d.strongkeep-members.strongkeep.svc]}, ", ip, n)
	}
	text := string(manifest)
	for _, change := range [][2]string{
		{"ghcr.io/strongkeep/strongkeep:0.1.0", image + "\n        imagePullPolicy: Never"},
		{"      serviceAccountName:", "      hostAliases: [" + aliases.String() + "]\n      serviceAccountName:"},
		{"      - name: config\n", "      - {name: data, emptyDir: {}}\n      - name: config\n"},
		{text[strings.Index(text, "  volumeClaimTemplates:"):], ""},
	} {
		if !strings.Contains(text, change[0]) {
			s.Fatalf("the manifest has no %q any more", change[0])
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	s.kubectl(text, "apply", "--server-side", "-f", "-")
}

// vault is a client of one pod, by way of the API server.
func (s *site) vault(pod string) *vault.Client {
	s.Helper()
	h, err := rest.HTTPClientFor(s.http)
	s.must(err)
	cfg := vault.DefaultConfig()
	cfg.Address, cfg.HttpClient, cfg.MaxRetries = s.URL()+"/api/v1/namespaces/strongkeep/pods/https:"+pod+":8200/proxy", h, 0
	c, err := vault.NewClient(cfg)
	s.must(err)
	c.SetToken(s.token)
	return c
}

// until tries f until it works.
func (s *site) until(what string, f func(context.Context) error) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 4*time.Minute)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.Log(s.kubectl("", "get", "pods,events", "-A", "-o", "wide"))
			for n := range 3 {
				out, _ := s.Kubectl(s.Context(), nil, "-n", "strongkeep", "logs", fmt.Sprint("strongkeep-", n), "--tail=30")
				s.Logf("strongkeep-%d:\n%s", n, out)
			}
			s.Fatalf("%s: %v", what, err)
		}
	}
}

func (s *site) reads(ctx context.Context, pod, want string) error {
	e, err := s.vault(pod).KVv2("secret").Get(ctx, "app")
	if err != nil {
		return err
	}
	if e.Data["password"] != want {
		return fmt.Errorf("%s has another password", pod)
	}
	return nil
}

// A pod is killed and its disk is lost: it comes back as a member, unsealed and serving, and
// nobody did anything. Writes go on meanwhile.
func TestNodeLoss(t *testing.T) {
	s := newSite(t)
	s.until("the vault is made", func(ctx context.Context) error {
		r, err := s.vault("strongkeep-0").Sys().InitWithContext(ctx, &vault.InitRequest{RecoveryShares: 1, RecoveryThreshold: 1})
		if err == nil {
			s.token = r.RootToken
		}
		return err
	})
	s.until("a secret is written", func(ctx context.Context) error {
		c := s.vault("strongkeep-0")
		if err := c.Sys().MountWithContext(ctx, "secret", &vault.MountInput{Type: "kv", Options: map[string]string{"version": "2"}}); err != nil && !strings.Contains(err.Error(), "in use") {
			return err
		}
		_, err := c.KVv2("secret").Put(ctx, "app", map[string]any{"password": "one"})
		return err
	})
	for n := range 3 {
		s.until("each pod serves", func(ctx context.Context) error { return s.reads(ctx, fmt.Sprint("strongkeep-", n), "one") })
	}
	before := s.uid("strongkeep-1")
	s.kubectl("", "-n", "strongkeep", "delete", "pod", "strongkeep-1", "--force", "--grace-period=0", "--wait=false")
	s.until("a write without it", func(ctx context.Context) error {
		_, err := s.vault("strongkeep-2").KVv2("secret").Put(ctx, "app", map[string]any{"password": "two"})
		return err
	})
	s.until("it is back and serves what was written meanwhile", func(ctx context.Context) error {
		if s.uid("strongkeep-1") == before {
			return fmt.Errorf("it is the one of before")
		}
		return s.reads(ctx, "strongkeep-1", "two")
	})
	s.until("it votes again, and Kubernetes sees it ready", func(ctx context.Context) error {
		r, err := s.vault("strongkeep-0").Sys().RaftAutopilotStateWithContext(ctx)
		if err != nil {
			return err
		}
		ready := s.kubectl("", "-n", "strongkeep", "get", "statefulset", "strongkeep", "-o", "jsonpath={.status.readyReplicas}")
		if len(r.Voters) != 3 || !r.Healthy || ready != "3" {
			return fmt.Errorf("%d voters, healthy %v, %s ready", len(r.Voters), r.Healthy, ready)
		}
		return nil
	})
}

// uid is that of a pod; none has "".
func (s *site) uid(pod string) string {
	out, err := s.Kubectl(s.Context(), nil, "-n", "strongkeep", "get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
	if err != nil {
		return ""
	}
	return string(out)
}
