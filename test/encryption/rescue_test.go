package encryption_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/rewrite"
	"github.com/strongkeep/strongkeep/internal/testenv/await"
	"github.com/strongkeep/strongkeep/internal/testenv/port"
	"github.com/strongkeep/strongkeep/test/cluster"
	"github.com/strongkeep/strongkeep/test/encryption/page"
)

// lossy is an API server with a plugin of its own, which alone encrypts
// ControllerRevisions: when its key is gone no other test is in its way.
type lossy struct {
	*testing.T
	plugin *plugin
	server *cluster.APIServer
	client kubernetes.Interface
	end    func()
}

func newLossy(t *testing.T) *lossy {
	t.Helper()
	dir, err := os.MkdirTemp("", "rescue") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l := &lossy{T: t, plugin: &plugin{dir: dir, name: "lossy", entries: []string{"controllerrevisions.apps"}}}
	l.newKey()
	t.Cleanup(func() { l.plugin.stop() })
	return l
}

// newKey gives the plugin another key; that of before is gone.
func (l *lossy) newKey() {
	l.Helper()
	if l.plugin.stop != nil {
		l.plugin.stop()
	}
	key := filepath.Join(l.plugin.dir, "key")
	_ = os.Remove(key)
	_, err := file.Generate(key)
	if err == nil {
		err = l.plugin.start()
	}
	if err != nil {
		l.Fatal(err)
	}
	client := dial(l.T, l.plugin.socket())
	await.Until(l.T, "the plugin is healthy", func() bool { _, err := client.Status(l.Context()); return err == nil })
}

// start starts the API server, or starts it anew: what it had in memory is gone.
func (l *lossy) start() {
	l.Helper()
	if l.end != nil {
		l.end()
	}
	flags, err := l.plugin.configuration()
	if err != nil {
		l.Fatal(err)
	}
	number, err := port.Free("127.0.0.1")
	if err != nil {
		l.Fatal(err)
	}
	l.server, err = env.server.AddAPIServer(l.Context(), number, func(ctx context.Context, url string) error {
		cfg := rest.CopyConfig(env.server.REST)
		cfg.Host = url
		var err error
		if l.client, err = kubernetes.NewForConfig(cfg); err != nil {
			return err
		}
		_, err = l.client.CoreV1().Namespaces().Get(ctx, "default", metav1.GetOptions{})
		return err // it says that it is ready a minute later, when it cannot list all
	}, append(flags, "--feature-gates=AllowUnsafeMalformedObjectDeletion=true")...)
	if err != nil {
		l.Fatal(err)
	}
	server := l.server
	l.end = func() { server.Stop(time.Second); l.end = nil }
	l.Cleanup(func() {
		if l.end != nil {
			l.end()
		}
	})
}

// revision writes an object with a value.
func revision(t *testing.T, c kubernetes.Interface, name string) {
	t.Helper()
	o := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: runtime.RawExtension{Raw: []byte(`{"password":"` + canary + `"}`)}}
	if _, err := c.AppsV1().ControllerRevisions("default").Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (l *lossy) rescue(code int, args ...string) string {
	l.Helper()
	return command(l.T, code, append([]string{"rescue", "-resource=controllerrevisions.apps", "-file=" + filepath.Join(l.plugin.dir, "lossy.yaml")}, args...)...)
}

// list is the error of listing what is to be rescued. Without a limit the API server
// would wait for its own memory of all, which it cannot fill.
func (l *lossy) list() error {
	_, err := l.client.AppsV1().ControllerRevisions("default").List(l.Context(), metav1.ListOptions{Limit: 100})
	return err
}

// The key of some objects is gone: they are found although LIST fails, what a backup has
// is restored, the others are deleted, and nothing that might be read again.
func TestRescue(t *testing.T) {
	l := newLossy(t)
	l.start()
	at := env.server.Etcd()
	etcd := []string{"-etcd=" + at.Endpoint, "-etcd-ca=" + at.CAFile, "-etcd-cert=" + at.CertFile, "-etcd-key=" + at.KeyFile}
	revision(t, env.client, "restored") // in the clear, since that API server does not encrypt them
	dir := t.TempDir()
	backup := saveEtcd(t, filepath.Join(dir, "backup.db"))
	o, err := l.client.AppsV1().ControllerRevisions("default").Get(t.Context(), "restored", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o.Labels = map[string]string{"written": "again"}
	if _, err := l.client.AppsV1().ControllerRevisions("default").Update(t.Context(), o, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hopeless", "hopeless-too"} {
		revision(t, l.client, name)
	}
	l.rescue(0, etcd...)
	gone := "-gone=" + keyID(t, l.plugin)
	l.newKey()
	said := l.rescue(10, append(etcd, "-server="+l.server.URL, "-delete", gone)...)
	if !strings.Contains(said, "from memory still") || !strings.Contains(said, "0 objects would be deleted") {
		t.Errorf("of an API server that has the key in memory:\n%s", said)
	}
	l.start() // anew
	revision(t, l.client, "readable")
	if err := l.list(); err == nil {
		t.Fatal("all can be listed: nothing is lost")
	}

	l.found(backup)
	l.restoredAndDeleted(etcd, gone, backup, filepath.Join(dir, "restored.yaml"), filepath.Join(dir, "copy.db"))
}

// An API server that has the key of before in memory rewrites what only it reads, under
// the key of now: nothing is lost.
func TestRescueFromMemory(t *testing.T) {
	long(t)
	l := newLossy(t)
	l.start()
	from := env.server.Etcd()
	etcd := []string{"-etcd=" + from.Endpoint, "-etcd-ca=" + from.CAFile, "-etcd-cert=" + from.CertFile, "-etcd-key=" + from.KeyFile}
	revision(t, l.client, "remembered")
	l.newKey()
	if said := l.rescue(10, append(etcd, "-server="+l.server.URL)...); !strings.Contains(said, "from memory still") {
		t.Errorf("it does not say who remembers:\n%s", said)
	}
	cfg := rest.CopyConfig(env.server.REST)
	cfg.Host = l.server.URL
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	// API servers ask for the key id each minute; a rewrite beside that says so, and has to be done again.
	var last error
	if err := wait.PollUntilContextCancel(ctx, time.Second, true, func(context.Context) (bool, error) {
		r, err := rewrite.Run(ctx, rewrite.Config{REST: cfg, By: rewrite.Ourselves, Resources: []string{"controllerrevisions.apps"}, Anew: true})
		last = err
		return err == nil && bytes.Contains(at(t, "/registry/controllerrevisions/default/remembered"), []byte(keyID(t, l.plugin))) && r.Refused == 0, nil
	}); err != nil {
		t.Fatal("rewriting:", err, last)
	}
	l.rescue(0, etcd...)
	l.start() // anew
	if err := l.list(); err != nil {
		t.Error(err)
	}
	if err := l.client.AppsV1().ControllerRevisions("default").Delete(t.Context(), "remembered", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}

// found finds them in etcd, in a snapshot, and without either.
func (l *lossy) found(backup string) {
	l.Helper()
	now := saveEtcd(l.T, filepath.Join(l.TempDir(), "now.db"))
	given := page.Command(l, "encryption rescue", append(onPage(), "-server=https://10.0.0.1:6443 -server=https://10.0.0.2:6443", "-server="+l.server.URL, "/var/backups/etcd.db", backup)...)[2:]
	for name, args := range map[string][]string{
		"etcd": append(given, "-o=json"), "snapshot": {"-snapshot=" + now, "-backup=" + backup, "-o=json"},
	} {
		var r struct {
			Read int
			Lost []struct {
				Name, State string
				Values      []struct{ Provider string }
			}
			Unknown   []any
			Deletable int
		}
		if err := json.Unmarshal([]byte(l.rescue(10, args...)), &r); err != nil {
			l.Fatal(name, err)
		}
		if r.Read != 4 || len(r.Lost) != 3 || len(r.Unknown) != 0 || r.Deletable != 0 {
			l.Fatalf("%s: %+v", name, r)
		}
		for i, want := range []string{"default/hopeless", "default/hopeless-too", "default/restored"} {
			if r.Lost[i].Name != want || r.Lost[i].State != "key gone" || (want == "default/restored") != (len(r.Lost[i].Values) > 0) {
				l.Errorf("%s: %+v", name, r.Lost[i])
			}
		}
	}
	// With the gate LIST names all, without it one.
	for _, server := range []string{l.server.URL, env.server.REST.Host} {
		said := l.rescue(10, "-server="+server)
		for _, name := range []string{"default/hopeless ", "default/hopeless-too ", "default/restored "} {
			if !strings.Contains(said, name) {
				l.Errorf("without etcd, by %s: no %s in:\n%s", server, name, said)
			}
		}
		if server == l.server.URL && strings.Contains(said, "default/readable") {
			l.Errorf("without etcd:\n%s", said)
		}
	}
}

// confirmation is what -delete says to confirm.
func (l *lossy) confirmation(said string) string {
	l.Helper()
	found := regexp.MustCompile(`-confirm=3-[0-9a-f]{8}`).FindString(said)
	if found == "" {
		l.Fatalf("no -confirm in:\n%s", said)
	}
	return found
}

func (l *lossy) restoredAndDeleted(etcd []string, gone, backup, restored, saved string) {
	l.Helper()
	all := slices.Concat(etcd, []string{"-server=" + l.server.URL, "-backup=" + backup})
	if said := l.rescue(10, append(all, "-delete")...); !strings.Contains(said, "0 objects would be deleted") || !strings.Contains(said, "say so with "+gone) {
		l.Errorf("nobody says that the key is gone:\n%s", said)
	}
	away := all
	all = slices.Concat(all, []string{gone})
	if said := l.rescue(10, append(all, "-delete")...); !strings.Contains(said, "Of 1 of them a value opens") {
		l.Errorf("without -restore:\n%s", said)
	}
	confirm := l.confirmation(l.rescue(10, append(all, "-delete", "-restore="+restored)...))
	l.rescue(6, append(all, "-delete", "-confirm=3-00000000", "-copy="+saved)...)
	l.rescue(6, append(all, "-restore="+restored)...)                                                       // it is there
	l.rescue(2, append(etcd, "-server="+env.server.REST.Host, gone, "-delete", confirm, "-copy="+saved)...) // it has no gate
	l.plugin.stop()
	if said := l.rescue(10, append(away, "-delete")...); !strings.Contains(said, "0 objects would be deleted") || !strings.Contains(said, "of 4 it is not known") {
		l.Errorf("with the plugin away:\n%s", said)
	}
	if err := l.plugin.start(); err != nil {
		l.Fatal(err)
	}
	client := dial(l.T, l.plugin.socket())
	await.Until(l.T, "the plugin is healthy", func() bool { _, err := client.Status(l.Context()); return err == nil })
	if _, err := os.Stat(saved); err == nil {
		l.Error("there is a copy although nothing was deleted")
	}
	if said := l.rescue(0, append(all, "-delete", "-restore="+restored, confirm, "-copy="+saved)...); !strings.Contains(said, "Deleted: 3.") || strings.Contains(said, "Left:") {
		l.Errorf("with %s:\n%s", confirm, said)
	}
	if err := l.list(); err != nil {
		l.Errorf("listing, when what is lost is deleted: %v", err)
	}
	if said := l.rescue(10, "-snapshot="+saved, "-o=json"); strings.Count(said, `"key gone"`) != 3 {
		l.Errorf("the copy:\n%s", said)
	}
	for _, path := range []string{restored, saved} {
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			l.Errorf("%s: %v, %v", path, info, err)
		}
	}
	text, err := os.ReadFile(restored)
	if err != nil {
		l.Fatal(err)
	}
	o := &appsv1.ControllerRevision{}
	if err := yaml.UnmarshalStrict([]byte(strings.TrimPrefix(string(text), "---\n")), o); err != nil {
		l.Fatal(err)
	}
	if _, err := l.client.AppsV1().ControllerRevisions("default").Create(l.Context(), o, metav1.CreateOptions{}); err != nil {
		l.Fatal(err)
	}
	got, err := l.client.AppsV1().ControllerRevisions("default").Get(l.Context(), "restored", metav1.GetOptions{})
	if err != nil || !strings.Contains(string(got.Data.Raw), canary) {
		l.Errorf("reading what was restored: %v", err)
	}
	for _, name := range []string{"restored", "readable"} {
		if err := l.client.AppsV1().ControllerRevisions("default").Delete(l.Context(), name, metav1.DeleteOptions{}); err != nil {
			l.Error(err)
		}
	}
	l.rescue(0, etcd...)
}

// saveEtcd writes a snapshot.
func saveEtcd(t *testing.T, path string) string {
	t.Helper()
	c := etcd(t)
	from, err := c.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = to.ReadFrom(from)
	if closed := to.Close(); err != nil || closed != nil {
		t.Fatal(err, closed)
	}
	return path
}
