package encryption_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	kmscli "github.com/strongkeep/strongkeep/internal/cli/kms"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/await"
)

// moods of a key store.
type mood struct {
	slow time.Duration // each call takes so long
	err  error         // and is answered with this
}

// moody is a key store with moods.
type moody struct {
	keystore.Versioned
	now *atomic.Pointer[mood]
}

func (m moody) wait(ctx context.Context) error {
	now := m.now.Load()
	t := time.NewTimer(now.slow)
	defer t.Stop()
	select {
	case <-t.C:
		return now.err
	case <-ctx.Done():
		return errs.Newf(errs.Unavailable, "no answer: %w", ctx.Err())
	}
}

func (m moody) History(ctx context.Context) (keystore.History, error) {
	if err := m.wait(ctx); err != nil {
		return keystore.History{}, err
	}
	return m.Versioned.History(ctx)
}

func (m moody) WrapAs(ctx context.Context, version string, aad []byte, plain redact.Secret) ([]byte, error) {
	if err := m.wait(ctx); err != nil {
		return nil, err
	}
	return m.Versioned.WrapAs(ctx, version, aad, plain)
}

func (m moody) Unwrap(ctx context.Context, aad, blob []byte) (redact.Secret, error) {
	if err := m.wait(ctx); err != nil {
		return redact.Secret{}, err
	}
	return m.Versioned.Unwrap(ctx, aad, blob)
}

// withoutPlugin returns a readiness that an API server reaches only when mend was
// called, once it has said that its plugin is what it waits for.
func withoutPlugin(t *testing.T, mend func() error) func(context.Context, kubernetes.Interface) error {
	t.Helper()
	named := false
	t.Cleanup(func() {
		if !named {
			t.Error("readyz did not name the plugin")
		}
	})
	return func(ctx context.Context, c kubernetes.Interface) error {
		err := isReady(ctx, c)
		if named || err != nil && !strings.Contains(err.Error(), "kms-providers") {
			return err // it does not listen yet, or waits for something else
		}
		if err == nil {
			return errors.New("it is ready without its plugin")
		}
		named = true
		return errors.Join(err, mend())
	}
}

// long skips what `make kms-ill` runs.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("STRONGKEEP_KMS_ILL") == "" {
		t.Skip("SKIPPED: it takes minutes; set STRONGKEEP_KMS_ILL=1")
	}
}

// A key store that throttles keeps an API server from starting, and none that runs from
// reading and writing; one that is slow keeps none from anything.
func TestKeyStoreThatThrottlesOrIsSlow(t *testing.T) {
	long(t)
	create(t, env.client, "before-moods")
	now := new(atomic.Pointer[mood])
	now.Store(&mood{err: errs.New(errs.Exhausted, "too many requests")})
	p := &plugin{dir: env.one.dir, name: "moody", wrap: func(k keystore.Versioned) keystore.Versioned { return moody{k, now} }}
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.stop() })
	c := second(t, p, withoutPlugin(t, func() error { now.Store(&mood{slow: 300 * time.Millisecond}); return nil }))
	reads(t, c, "before-moods")
	create(t, c, "slow")
	encrypted(t, stored(t, "slow"), keyID(t, env.one))
	reads(t, env.client, "slow")

	now.Store(&mood{err: errs.New(errs.Exhausted, "too many requests")})
	client := dial(t, p.socket())
	await.Until(t, "the plugin is ill", func() bool { _, err := client.Status(t.Context()); return err != nil })
	for i := range 20 {
		create(t, c, fmt.Sprintf("throttled-%d", i))
		reads(t, c, fmt.Sprintf("throttled-%d", i))
	}
	now.Store(&mood{})
	await.Until(t, "the plugin is well", func() bool { _, err := client.Status(t.Context()); return err == nil })
	reads(t, env.client, "throttled-19")
}

// A plugin is killed again and again under an API server that writes: nothing that is
// written is lost, refused, or in the clear; and one that starts between two plugins
// waits, and then reads all of it.
func TestPluginKilled(t *testing.T) {
	long(t)
	p := &plugin{dir: env.one.dir, name: "killed"}
	cmd := p.process(t)
	c := second(t, p, isReady)
	before := keyID(t, p)
	ctx, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	written := 0
	writer.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond) // each is looked at twice below
		defer tick.Stop()
		for ; ctx.Err() == nil; written++ {
			<-tick.C
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("killed-%d", written)}, Data: map[string][]byte{"password": []byte(canary)}}
			if _, err := c.CoreV1().Secrets("default").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
				t.Errorf("writing number %d: %v", written, err)
				return
			}
		}
	})
	for range 10 {
		kill(cmd)
		cmd = p.process(t)
		if id := keyID(t, p); id != before {
			t.Errorf("key id %s after a kill, %s before", id, before)
		}
	}
	stop()
	writer.Wait()
	kill(cmd)
	if written < 10 {
		t.Errorf("%d Secrets were written meanwhile", written)
	}
	other := second(t, p, withoutPlugin(t, func() error { p.process(t); return nil }))
	for i := range written {
		name := fmt.Sprintf("killed-%d", i)
		encrypted(t, stored(t, name), before)
		reads(t, other, name)
	}
}

// process runs the plugin in a process of its own, until the test ends, and returns when
// it is healthy.
func (p *plugin) process(t *testing.T) *exec.Cmd {
	t.Helper()
	path := filepath.Join(p.dir, p.name+"-plugin.yaml")
	if err := os.WriteFile(path, []byte(p.text(filepath.Join(p.dir, "key"))), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0])
	cmd.Env = append(os.Environ(), child+"="+path)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	client := dial(t, p.socket())
	await.Until(t, "the plugin is healthy: "+p.socket(), func() bool { _, err := client.Status(t.Context()); return err == nil })
	return cmd
}

// kill ends a process as a power cut does, if it has not been.
func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// child names, in the environment of a child, the configuration of a plugin.
const child = "STRONGKEEP_KMS_CHILD"

// serve is a child's main function.
func serveChild(config string) int {
	c := kmscli.Command(&session.Session{Env: session.System()}, map[string]keystore.Opener{"file": file.Open})
	c.SetArgs([]string{"run", "--config=" + config})
	if err := c.ExecuteContext(context.Background()); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// One plugin serves all that an API server encrypts, in entries of their own, by name and
// by wildcard; and is asked once for each entry, not for each kind or object.
func TestManyResourcesOnePlugin(t *testing.T) {
	long(t)
	p := &plugin{dir: env.one.dir, name: "many", entries: []string{"secrets", "configmaps, podtemplates, serviceaccounts", "'*.apps'", "leases.coordination.k8s.io"}}
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.stop() })
	c := second(t, p, isReady)
	for i := range 20 {
		manyKinds(t, c, fmt.Sprintf("many-kinds-%d", i))
	}
	if n := p.encrypts(t); n != "4" {
		t.Errorf("four entries, and the plugin was asked to encrypt %s times", n)
	}
	id := keyID(t, p)
	for path, name := range map[string]string{"secrets/default": "strongkeep", "configmaps/default": "strongkeep1", "podtemplates/default": "strongkeep1", "serviceaccounts/default": "strongkeep1", "deployments/default": "strongkeep2", "statefulsets/default": "strongkeep2"} {
		value := at(t, "/registry/"+path+"/many-kinds-7")
		if !bytes.HasPrefix(value, []byte("k8s:enc:kms:v2:"+name+":")) || !bytes.Contains(value, []byte(id)) || bytes.Contains(value, []byte(canary)) {
			t.Errorf("%s: etcd has %d bytes in the clear, or not of provider %s", path, len(value), name)
		}
	}
}

// manyKinds makes an object of each kind, all of one name, and reads it again.
func manyKinds(t *testing.T, c kubernetes.Interface, name string) {
	t.Helper()
	ctx, all := t.Context(), metav1.CreateOptions{}
	meta := metav1.ObjectMeta{Name: name, Annotations: map[string]string{"password": canary}}
	pod := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": name}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}}}
	selector := &metav1.LabelSelector{MatchLabels: pod.Labels}
	create(t, c, name)
	_, e1 := c.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: meta}, all)
	_, e2 := c.CoreV1().PodTemplates("default").Create(ctx, &corev1.PodTemplate{ObjectMeta: meta, Template: pod}, all)
	_, e3 := c.CoreV1().ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, all)
	_, e4 := c.AppsV1().Deployments("default").Create(ctx, &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: new(int32), Selector: selector, Template: pod}}, all)
	_, e5 := c.AppsV1().StatefulSets("default").Create(ctx, &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Replicas: new(int32), Selector: selector, Template: pod}}, all)
	if err := errors.Join(e1, e2, e3, e4, e5); err != nil {
		t.Fatal(err)
	}
	reads(t, c, name)
	if got, err := c.AppsV1().Deployments("default").Get(ctx, name, metav1.GetOptions{}); err != nil || got.Annotations["password"] != canary {
		t.Errorf("reading a Deployment: %v", err)
	}
}
