package file_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence/file"
	"github.com/strongkeep/strongkeep/internal/kube/witness"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/test/cluster"
)

const image = "localhost/strongkeep:1"

// site is a real node with deploy/witness on it as it stands, and the operator's
// ServiceAccount with the rights that it gives, and no others.
type site struct {
	*testing.T
	*cluster.Cluster
	admin    client.Client
	operator client.Client
	pods     *file.Pods
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
	root, err := filepath.Abs(filepath.Join("..", "..", "..", "..", ".."))
	s.must(err)
	binary := filepath.Join(t.TempDir(), "strongkeep")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/strongkeep")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.must(c.LoadImage(ctx, image, map[string]string{"/strongkeep": binary}, "/strongkeep"))
	manifest, err := os.ReadFile(filepath.Join(root, "deploy", "witness", "witness.yaml"))
	s.must(err)
	named := bytes.Replace(manifest, []byte("ghcr.io/strongkeep/strongkeep:0.1.0"), []byte(image+"\n        imagePullPolicy: Never"), 1)
	if bytes.Equal(named, manifest) {
		t.Fatal("the manifest names another image")
	}
	s.kubectl("", "create", "namespace", "strongkeep-system")
	s.kubectl("", "create", "serviceaccount", "strongkeep-operator", "--namespace=strongkeep-system")
	s.kubectl(string(named), "apply", "--server-side", "-f", "-")
	s.admin = s.client(c.Kubeconfig())
	operator, err := c.ServiceAccountKubeconfig(ctx, "strongkeep-system", "strongkeep-operator")
	s.must(err)
	s.operator = s.client(operator)
	s.pods = &file.Pods{
		Reader: s.operator, Client: s.operator, Namespace: file.Namespace,
		Account: types.NamespacedName{Namespace: "strongkeep-system", Name: "strongkeep-operator"}, Clock: clock.RealClock{},
	}
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

func (s *site) client(kubeconfig string) client.Client {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	s.must(err)
	cfg.QPS = -1
	c, err := client.New(cfg, client.Options{})
	s.must(err)
	return c
}

func (s *site) until(what string, f func() error) time.Duration {
	s.Helper()
	began := time.Now()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return time.Since(began)
		}
		if time.Since(began) > 3*time.Minute {
			s.Log(s.kubectl("", "get", "pods,events", "-A", "-o", "wide"))
			s.Log(s.kubectl("", "logs", "--namespace="+file.Namespace, "daemonset/strongkeep-witness"))
			s.Fatalf("%s: %v", what, err)
		}
		<-tick.C
	}
}

// run makes a pod that mounts Secret db in three ways, and runs for ever.
func (s *site) run() consumer.Pod {
	s.Helper()
	s.must(s.admin.Create(s.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db"}, Data: map[string][]byte{"username": []byte("app_a"), "password": []byte("one")},
	}))
	user, group := int64(1000), int64(2000)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec: corev1.PodSpec{
			SecurityContext: &corev1.PodSecurityContext{RunAsUser: &user, FSGroup: &group},
			Containers: []corev1.Container{{
				Name: "web", Image: image, ImagePullPolicy: corev1.PullNever, Args: []string{"server", "-dev"},
				VolumeMounts: []corev1.VolumeMount{{Name: "all", MountPath: "/etc/db"}, {Name: "strict", MountPath: "/etc/strict"}, {Name: "mixed", MountPath: "/etc/mixed"}},
			}},
			Volumes: []corev1.Volume{
				{Name: "all", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "db"}}},
				{Name: "strict", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
					SecretName: "db", DefaultMode: new(int32), Items: []corev1.KeyToPath{{Key: "password", Path: "deep/pw"}}}}},
				{Name: "mixed", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{
					Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "db"}, Items: []corev1.KeyToPath{{Key: "username", Path: "db/user"}}}}}}}},
			},
		},
	}
	*pod.Spec.Volumes[1].Secret.DefaultMode = 0o400
	s.must(s.admin.Create(s.Context(), pod))
	s.until("the pod runs", func() error {
		s.must(s.admin.Get(s.Context(), client.ObjectKeyFromObject(pod), pod))
		if pod.Status.Phase != corev1.PodRunning {
			return fmt.Errorf("it is %s", pod.Status.Phase)
		}
		return nil
	})
	found, _ := consumer.PodOf(pod)
	return found
}

// The node says which version mounted files are of: the old one until the kubelet
// has followed, then the new one; for every kind of volume, with the rights of
// deploy/witness alone. Nobody else is answered, and no witness speaks for another.
func TestNode(t *testing.T) {
	s := newSite(t)
	pod := s.run()
	prober := file.New(file.Config{Witnesses: s.pods, Timeout: time.Minute})
	s.until("a witness is there", func() error {
		if !prober.There(t.Context()) {
			return fmt.Errorf("no witness with a pin")
		}
		return nil
	})
	holds := func(password string) file.Question {
		var db consumer.Fed
		db.Namespace, db.Name = "default", "db"
		return file.Question{Fed: []consumer.Fed{db}, Contents: func(context.Context, consumer.Object) (map[string]redact.Secret, error) {
			return map[string]redact.Secret{"username": redact.FromString("app_a"), "password": redact.FromString(password)}, nil
		}}
	}
	ask := func(password string) evidence.Word {
		return prober.Ask(t.Context(), holds(password), []consumer.Pod{pod})[pod.UID]
	}
	s.until("the file is of the first version", func() error {
		if w := ask("one"); w.Answer != evidence.Yes {
			return fmt.Errorf("%s %q", w.Answer, w.Text)
		}
		return nil
	})
	if w := ask("two"); w.Answer != evidence.No || !strings.Contains(w.Text, "not as Secret db has it") {
		t.Errorf("a version that is not there yet: %s %q", w.Answer, w.Text)
	}
	// What the pod does not mount says nothing about it.
	if n := len(pod.Uses); n != 3 {
		t.Errorf("%d uses", n)
	}
	secret := &corev1.Secret{}
	s.must(s.admin.Get(t.Context(), types.NamespacedName{Namespace: "default", Name: "db"}, secret))
	secret.Data["password"] = []byte("two")
	s.must(s.admin.Update(t.Context(), secret))
	took := s.until("the file is of the second version", func() error {
		if w := ask("two"); w.Answer != evidence.Yes {
			return fmt.Errorf("%s %q", w.Answer, w.Text)
		}
		return nil
	})
	t.Logf("the kubelet followed after %v", took.Round(10*time.Millisecond))
	if w := ask("one"); w.Answer != evidence.No {
		t.Errorf("the old version: %s %q", w.Answer, w.Text)
	}

	t.Run("strangers", func(t *testing.T) { s.strangers(pod) })
	t.Run("pins", func(t *testing.T) { s.pins(prober, holds("two"), pod) })
}

// strangers are not answered: without token, with a token for something else, or of somebody else.
func (s *site) strangers(pod consumer.Pod) {
	list, err := s.pods.List(s.Context())
	s.must(err)
	node := list[0].Node
	good, err := s.pods.Token(s.Context(), node)
	s.must(err)
	otherNode, err := s.pods.Token(s.Context(), "another-node")
	s.must(err)
	api := strings.TrimSpace(s.kubectl("", "create", "token", "strongkeep-operator", "--namespace=strongkeep-system"))
	other := strings.TrimSpace(s.kubectl("", "create", "token", "default", "--namespace=default", "--audience="+witness.Audience(node)))
	body, err := json.Marshal(witness.Question{Key: make([]byte, witness.KeySize), Files: []witness.File{{Pod: string(pod.UID), Volume: "all", Path: "password"}}})
	s.must(err)
	for _, tc := range []struct {
		name, token string
		status      int
	}{
		{"the operator", good, 200}, {"no token", "", 401}, {"a token for another node", otherNode, 401},
		{"a token for the API server", api, 401}, {"another ServiceAccount", other, 403}, {"a broken token", good[:len(good)-4] + "AAAA", 401},
	} {
		req, err := http.NewRequestWithContext(s.Context(), http.MethodPost, "https://"+list[0].Address.String()+witness.Path, bytes.NewReader(body))
		s.must(err)
		if tc.token != "" {
			req.Header.Set("Authorization", "Bearer "+tc.token)
		}
		res, err := file.Insecure().Do(req)
		s.must(err)
		_ = res.Body.Close()
		if res.StatusCode != tc.status {
			s.Errorf("%s: %d, want %d", tc.name, res.StatusCode, tc.status)
		}
	}
}

// pins: a witness that is not who its pod says is not asked; the token of one
// that was taken over writes on no other witness's pod.
func (s *site) pins(prober *file.Prober, q file.Question, pod consumer.Pod) {
	var list corev1.PodList
	s.must(s.admin.List(s.Context(), &list, client.InNamespace(file.Namespace)))
	one := &list.Items[0]
	taken, err := s.ServiceAccountKubeconfig(s.Context(), file.Namespace, "strongkeep-witness")
	s.must(err)
	forge := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"`+witness.AnnotationPin+`":"sha256:00"}}}`))
	err = s.client(taken).Patch(s.Context(), one.DeepCopy(), forge)
	if err == nil || !strings.Contains(err.Error(), "its own pod only") {
		s.Errorf("a token of no pod writes a pin: %v", err)
	}
	s.must(s.admin.Patch(s.Context(), one, forge))
	if w := prober.Ask(s.Context(), q, []consumer.Pod{pod})[pod.UID]; w.Answer != evidence.Unknown || !strings.Contains(w.Text, "not the one that its pod names") {
		s.Errorf("a forged pin: %s %q", w.Answer, w.Text)
	}
	// A witness that starts anew has a new key, and says so.
	s.must(s.admin.Delete(s.Context(), one))
	s.until("the next witness", func() error {
		if w := prober.Ask(s.Context(), q, []consumer.Pod{pod})[pod.UID]; w.Answer != evidence.Yes {
			return fmt.Errorf("%s %q", w.Answer, w.Text)
		}
		return nil
	})
}
