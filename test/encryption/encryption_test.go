package encryption_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/kms/conform"
	"github.com/strongkeep/strongkeep/internal/kms/serve"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
	"github.com/strongkeep/strongkeep/internal/testenv/port"
)

// plugin is one that can be ended, and run again at the same socket.
type plugin struct {
	dir, name string
	address   string // of its metrics
	stop      func()
	wrap      func(keystore.Versioned) keystore.Versioned // changes its key store; nil: nothing
	entries   []string                                    // resources of the API server's entries; default: Secrets
}

func (p *plugin) socket() string { return filepath.Join(p.dir, p.name+".sock") }

// text is the plugin's configuration, with a key file.
func (p *plugin) text(key string) string {
	return "name: test\nsocket: " + p.socket() + "\nlisten: 127.0.0.1:0\nkey: {file: {path: " + key + "}}\npoll: 2s\nactivation_delay: 4s\nstale_after: 10s\n"
}

// start runs the plugin. All have one key file.
func (p *plugin) start() error {
	c, err := serve.Parse([]byte(p.text("unused")))
	if err != nil {
		return err
	}
	var key keystore.Versioned
	if key, err = file.Load(filepath.Join(p.dir, "key")); err != nil {
		return err
	}
	if p.wrap != nil {
		key = p.wrap(key)
	}
	s, err := serve.New(context.Background(), c, key, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	p.address = s.Address()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	p.stop = sync.OnceFunc(func() { cancel(); <-done })
	return nil
}

// encrypts is how often the plugin was asked to encrypt.
func (p *plugin) encrypts(t *testing.T) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), `strongkeep_kms_call_duration_seconds_count{code="OK",method="Encrypt"} `)
	if !ok {
		return "0"
	}
	n, _, _ := strings.Cut(rest, "\n")
	return n
}

// configuration writes the API server's, and returns the flags that name it.
func (p *plugin) configuration() ([]string, error) {
	path := filepath.Join(p.dir, p.name+".yaml")
	if len(p.entries) == 0 {
		p.entries = []string{"secrets"}
	}
	text := "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n"
	name := "strongkeep"
	for i, resources := range p.entries {
		if i > 0 {
			name = fmt.Sprint("strongkeep", i)
		}
		text += fmt.Sprintf(`- resources: [%s]
  providers:
  - kms: {apiVersion: v2, name: %s, endpoint: "unix://%s", timeout: 10s}
  - identity: {}
`, resources, name, p.socket())
	}
	return []string{"--encryption-provider-config=" + path}, os.WriteFile(path, []byte(text), 0o600)
}

// world is the cluster, with a plugin for each API server.
type world struct {
	server   *apiserver.Server
	one, two *plugin
	client   kubernetes.Interface
}

var env world

func TestMain(m *testing.M) {
	if config := os.Getenv(child); config != "" {
		os.Exit(serveChild(config))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "kms")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	env.one, env.two = &plugin{dir: dir, name: "one"}, &plugin{dir: dir, name: "two"}
	if _, err := file.Generate(filepath.Join(dir, "key")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	flags, err := env.one.configuration()
	if err == nil {
		err = env.one.start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { env.one.stop() }()
	log.SetLogger(logr.Discard())
	// Kubernetes' own migrations, which 1.36 has, switched off.
	const gate = "--feature-gates=StorageVersionMigrator=true"
	flags = append(flags, gate, "--runtime-config=storagemigration.k8s.io/v1beta1=true")
	return apiserver.Main(apiserver.Config{Bare: true, Flags: flags, ControllerFlags: []string{gate}}, func(s *apiserver.Server) (int, error) {
		env.server = s
		s.REST.WarningHandler = rest.NoWarnings{}
		if env.client, err = kubernetes.NewForConfig(s.REST); err != nil {
			return 1, err
		}
		return m.Run(), nil
	})
}

const canary = "canary-value-7f3a"

func create(t *testing.T, c kubernetes.Interface, name string) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string][]byte{"password": []byte(canary)}}
	if _, err := c.CoreV1().Secrets("default").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func reads(t *testing.T, c kubernetes.Interface, name string) {
	t.Helper()
	s, err := c.CoreV1().Secrets("default").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil || string(s.Data["password"]) != canary {
		t.Errorf("reading %s: %v", name, err)
	}
}

// stored is what lies in etcd.
func stored(t *testing.T, name string) []byte {
	t.Helper()
	return at(t, "/registry/secrets/default/"+name)
}

// at is what lies at a key of etcd.
func at(t *testing.T, key string) []byte {
	t.Helper()
	c := etcd(t)
	r, err := c.Get(t.Context(), key)
	if err != nil || len(r.Kvs) != 1 {
		t.Fatalf("reading %s from etcd: %v, %v", key, r, err)
	}
	return r.Kvs[0].Value
}

// keyID is the active one's.
func keyID(t *testing.T, p *plugin) string {
	t.Helper()
	c := dial(t, p.socket())
	a, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return a.GetKeyId()
}

func encrypted(t *testing.T, value []byte, id string) {
	t.Helper()
	if !bytes.HasPrefix(value, []byte("k8s:enc:kms:v2:strongkeep:")) || bytes.Contains(value, []byte(canary)) || !bytes.Contains(value, []byte(id)) {
		t.Errorf("etcd has %d bytes that are in the clear, or not under key id %s", len(value), id)
	}
}

func TestSecretIsEncrypted(t *testing.T) {
	create(t, env.client, "encrypted")
	encrypted(t, stored(t, "encrypted"), keyID(t, env.one))
	reads(t, env.client, "encrypted")
}

// An API server asks once and not for each write.
func TestManyWritesOneEncrypt(t *testing.T) {
	create(t, env.client, "many")
	before := env.one.encrypts(t)
	for i := range 100 {
		create(t, env.client, fmt.Sprintf("many-%d", i))
	}
	if after := env.one.encrypts(t); before == "0" || after != before {
		t.Errorf("%s calls of Encrypt before a hundred writes, %s after", before, after)
	}
}

// second starts another API server with its own plugin, which need not run.
func second(t *testing.T, p *plugin, ready func(context.Context, kubernetes.Interface) error) kubernetes.Interface {
	t.Helper()
	flags, err := p.configuration()
	if err != nil {
		t.Fatal(err)
	}
	number, err := port.Free("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	var client kubernetes.Interface
	s, err := env.server.AddAPIServer(t.Context(), number, func(ctx context.Context, url string) error {
		cfg := rest.CopyConfig(env.server.REST)
		cfg.Host = url
		var err error
		if client, err = kubernetes.NewForConfig(cfg); err != nil {
			return err
		}
		return ready(ctx, client)
	}, flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop(time.Second) })
	return client
}

func isReady(ctx context.Context, c kubernetes.Interface) error {
	text, err := c.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	return nil
}

// Two API servers with two plugins read each other's, and turn the key together. The
// second one starts before its plugin does, and is not ready until then.
func TestTwoAPIServers(t *testing.T) {
	create(t, env.client, "before")
	create(t, env.client, "untouched")
	named := false
	other := second(t, env.two, func(ctx context.Context, c kubernetes.Interface) error {
		err := isReady(ctx, c)
		if env.two.stop == nil {
			if err == nil {
				return fmt.Errorf("it is ready without its plugin")
			}
			if !strings.Contains(err.Error(), "kms-providers") {
				return err // it does not listen yet
			}
			named = true
			if err := env.two.start(); err != nil {
				return err
			}
			t.Cleanup(func() { env.two.stop() })
		}
		return err
	})
	if !named {
		t.Error("readyz did not name the plugin that is away")
	}
	if one, two := keyID(t, env.one), keyID(t, env.two); one != two {
		t.Fatalf("two plugins have key ids %s and %s", one, two)
	}
	reads(t, other, "before")
	create(t, other, "other")
	encrypted(t, stored(t, "other"), keyID(t, env.one))
	reads(t, env.client, "other")
	turn(t, map[string]kubernetes.Interface{"before": env.client, "other": other})
	reads(t, env.client, "other")
	reads(t, other, "before")
}

// turn turns the key. API servers ask each minute; from then on an update that changes
// nothing writes under the new one.
func turn(t *testing.T, secrets map[string]kubernetes.Interface) {
	t.Helper()
	old := keyID(t, env.one)
	if err := file.Add(filepath.Join(env.one.dir, "key"), time.Now()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	err := wait.PollUntilContextCancel(ctx, time.Second, true, func(context.Context) (bool, error) {
		if id := keyID(t, env.one); id == old || id != keyID(t, env.two) {
			return false, nil
		}
		done := true
		for name, c := range secrets {
			s, err := c.CoreV1().Secrets("default").Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return false, err
			}
			if _, err := c.CoreV1().Secrets("default").Update(ctx, s, metav1.UpdateOptions{}); err != nil {
				return false, err
			}
			done = done && bytes.Contains(stored(t, name), []byte(keyID(t, env.one)))
		}
		return done, nil
	})
	if err != nil {
		t.Fatal("rewriting under the new key:", err)
	}
	encrypted(t, stored(t, "untouched"), old) // nobody has written it
	reads(t, env.client, "untouched")
}

// Without its plugin an API server reads what it knows, and after three minutes writes
// nothing; when the plugin is back, all is well.
func TestPluginAway(t *testing.T) {
	if os.Getenv("STRONGKEEP_KMS_AWAY") == "" {
		t.Skip("SKIPPED: it takes five minutes; set STRONGKEEP_KMS_AWAY=1")
	}
	create(t, env.client, "away")
	env.one.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	try := func(ctx context.Context) error {
		_, err := env.client.CoreV1().Secrets("default").Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{GenerateName: "try-"}}, metav1.CreateOptions{})
		return err
	}
	poll := func(what string, until func() bool) {
		t.Helper()
		if err := wait.PollUntilContextCancel(ctx, time.Second, true, func(context.Context) (bool, error) { return until(), nil }); err != nil {
			t.Fatal(what, err)
		}
	}
	poll("waiting for writes to be refused:", func() bool { return try(ctx) != nil })
	reads(t, env.client, "away")
	if err := env.one.start(); err != nil {
		t.Fatal(err)
	}
	poll("waiting for writes to be taken again:", func() bool { return try(ctx) == nil })
	reads(t, env.client, "away")
}

func dial(t *testing.T, socket string) *conform.Client {
	t.Helper()
	c, err := conform.Dial(socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
