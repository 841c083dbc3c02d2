package serve_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v2 "k8s.io/kms/apis/v2"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/kms"
	"github.com/strongkeep/strongkeep/internal/kms/conform"
	"github.com/strongkeep/strongkeep/internal/kms/serve"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/await"
	"github.com/strongkeep/strongkeep/internal/testenv/buffer"
)

// directory is one that a socket may be in: short, and ours alone.
func directory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kms")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func keyFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if _, err := file.Generate(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, path string) keystore.Versioned {
	t.Helper()
	k, err := file.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func config(t testing.TB, text string) serve.Config {
	t.Helper()
	c, err := serve.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// run serves until the test ends or stop is called, and returns when Status answers.
func run(t testing.TB, c serve.Config, key keystore.Versioned, log io.Writer) (s *serve.Server, stop func()) {
	t.Helper()
	s, err := serve.New(t.Context(), c, key, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error("running:", err)
		}
	})
	t.Cleanup(stop)
	c2 := dial(t, c.Socket)
	await.Until(t, "the plugin is healthy", func() bool { _, err := c2.Status(t.Context()); return err == nil })
	return s, stop
}

func dial(t testing.TB, socket string) *conform.Client {
	t.Helper()
	c, err := conform.Dial(socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

const simple = "name: cluster\nkey: {file: {path: unused}}\nsocket: "

// The suite of an API server's questions, of two nodes.
func TestConforms(t *testing.T) {
	path, dir := keyFile(t), directory(t)
	one, two := config(t, simple+dir+"/one.sock"), config(t, simple+dir+"/two.sock")
	log := new(buffer.Buffer)
	run(t, one, open(t, path), log)
	run(t, two, open(t, path), log)
	found, err := conform.Check(t.Context(), conform.Config{Socket: one.Socket, Peers: []string{two.Socket}})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 12 {
		t.Errorf("%d questions are answered", len(found))
	}
	for _, f := range found {
		if f.Level == conform.Fail {
			t.Errorf("%s: %s", f.Question, f.Detail)
		}
	}
	// Another cluster's plugin with the same key is not a peer.
	three := config(t, strings.Replace(simple, "cluster", "other", 1)+dir+"/three.sock")
	run(t, three, open(t, path), log)
	found, err = conform.Check(t.Context(), conform.Config{Socket: one.Socket, Peers: []string{three.Socket}})
	if err != nil || found[len(found)-1].Level != conform.Fail {
		t.Errorf("another cluster's plugin is a peer: %+v, %v", found[len(found)-1], err)
	}
}

func TestSocketRights(t *testing.T) {
	path, dir := keyFile(t), directory(t)
	c := config(t, simple+dir+"/kms.sock")
	_, stop := run(t, c, open(t, path), io.Discard)
	info, err := os.Lstat(c.Socket)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("the socket has %v, %v", info.Mode(), err)
	}
	stop()
	if _, err := os.Lstat(c.Socket); !os.IsNotExist(err) {
		t.Errorf("the socket stays: %v", err)
	}
}

func TestSocketOfAGroup(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED without root: only root can give a socket to a group that it is not in")
	}
	path, dir := keyFile(t), directory(t)
	c := config(t, simple+dir+"/kms.sock\nsocket_group: \"0\"")
	run(t, c, open(t, path), io.Discard)
	if info, err := os.Lstat(c.Socket); err != nil || info.Mode() != os.ModeSocket|0o660 {
		t.Errorf("a group's socket has %v, %v", info.Mode(), err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".kms*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestSocketInTheWay(t *testing.T) {
	path, dir := keyFile(t), directory(t)
	c := config(t, simple+dir+"/kms.sock")
	refused := func(name string, kind errs.Kind) {
		t.Helper()
		if s, err := serve.New(t.Context(), c, open(t, path), slog.New(slog.DiscardHandler)); !errs.Is(err, kind) {
			t.Errorf("%s: %v, want kind %v", name, err, kind)
			if err == nil {
				_ = s.Close()
			}
		}
	}
	if err := os.WriteFile(c.Socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("a file", errs.Exist)
	if err := os.Remove(c.Socket); err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", c.Socket)
	if err != nil {
		t.Fatal(err)
	}
	refused("somebody else's that lives", errs.Exist)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil { // as a killed process leaves it
		t.Fatal(err)
	}
	_, stop := run(t, c, open(t, path), io.Discard)
	refused("ours that lives", errs.Exist)
	stop()
	if err := os.Chmod(dir, 0o770); err != nil {
		t.Fatal(err)
	}
	refused("a directory that others can write", errs.Denied)
	c.Socket = filepath.Join(dir, "none", "kms.sock")
	refused("no directory", errs.NotExist)
}

func TestParseRefuses(t *testing.T) {
	for text, say := range map[string]string{
		"socket: /a":                                   "key is missing",
		"key: {}\nsocket: '@a'":                        "abstract",
		"key: {}\nsocket: unix:///a":                   "absolute path",
		"key: {}\nsocket: /a/../b":                     "absolute path",
		"key: {}\nsocket: a":                           "absolute path",
		"key: {}\nsocket: /" + strings.Repeat("a", 90): "91 characters",
		"key: {}\nlisten: 0.0.0.0:80":                  "loopback",
		"key: {}\npoll: 0s":                            "poll",
		"key: {}\nstale_after: x":                      "stale_after",
		"key: {}\nactivation_delay: -1s":               "activation_delay",
		"key: {}\nsokcet: /a":                          "sokcet",
		"key: {}\nkey: {}":                             "key",
		"{":                                            "no YAML",
	} {
		if _, err := serve.Parse([]byte(text)); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), say) {
			t.Errorf("%q: %v, want it to say %q", text, err, say)
		}
	}
}

// gate is a key store that does not unwrap what is longer than its own probe before
// it may.
type gate struct {
	keystore.Versioned
	in, out chan struct{}
}

func (g gate) Unwrap(ctx context.Context, aad, blob []byte) (redact.Secret, error) {
	if len(blob) >= longBlob {
		g.in <- struct{}{}
		<-g.out
	}
	return g.Versioned.Unwrap(ctx, aad, blob)
}

// long is longer than what the plugin tries a key store with.
const (
	long     = "canary-0123456789-0123456789-0123456789-0123456789"
	longBlob = 70
)

// What is under way when SIGTERM comes ends; what comes later is not taken.
func TestDrains(t *testing.T) {
	dir := directory(t)
	g := gate{open(t, keyFile(t)), make(chan struct{}), make(chan struct{})}
	c := config(t, simple+dir+"/kms.sock")
	_, stop := run(t, c, g, io.Discard)
	client := dial(t, c.Socket)
	sealed, err := client.Encrypt(t.Context(), []byte(long))
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		plain, err := client.Decrypt(context.WithoutCancel(t.Context()), sealed)
		if err == nil && string(plain) != long {
			err = errs.New(errs.Internal, "something else came back")
		}
		got <- err
	}()
	<-g.in
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	refuses := func() bool {
		c, err := new(net.Dialer).DialContext(context.Background(), "unix", c.Socket)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	}
	await.Until(t, "it has begun to drain", refuses)
	select {
	case <-stopped:
		t.Error("stopped with a call under way")
	default:
	}
	close(g.out)
	if err := <-got; err != nil {
		t.Errorf("the call under way ended with %v", err)
	}
	<-stopped
}

// get asks a server for a page of its metrics' address.
func get(t *testing.T, s *serve.Server, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Address()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestMetrics(t *testing.T) {
	dir := directory(t)
	c := config(t, simple+dir+"/kms.sock\nlisten: 127.0.0.1:0")
	s, _ := run(t, c, open(t, keyFile(t)), io.Discard)
	client := dial(t, c.Socket)
	if _, err := client.Encrypt(t.Context(), []byte("canary")); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Encrypt(t.Context(), nil); !errs.Is(err, errs.Invalid) {
		t.Errorf("encrypting nothing: %v", err)
	}
	if code, body := get(t, s, "/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("healthz: %d %s", code, body)
	}
	_, all := get(t, s, "/metrics")
	for _, want := range []string{
		"strongkeep_kms_healthy 1", `strongkeep_kms_call_duration_seconds_count{code="OK",method="Encrypt"} 1`,
		`strongkeep_kms_call_duration_seconds_count{code="InvalidArgument",method="Encrypt"} 1`,
		`strongkeep_kms_key_info{key_id="` + s.Plugin.About().KeyID + `"`, "strongkeep_kms_next_version_timestamp_seconds 0", "strongkeep_kms_last_contact_timestamp_seconds 1.",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
	// Alerts ask for what there is.
	alerts, err := os.ReadFile("../../../deploy/kms/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	asked := regexp.MustCompile(`strongkeep_kms_[a-z_]+`).FindAllString(string(alerts), -1)
	if len(asked) < 5 {
		t.Errorf("alerts ask for %q only", asked)
	}
	for _, name := range asked {
		if !strings.Contains(all, "\n"+name) {
			t.Errorf("an alert asks for %s, and there is no such metric", name)
		}
	}
}

// broken is a key store that ends a call in a way of its own.
type broken struct {
	keystore.Versioned
	do *atomic.Pointer[func() error]
}

func (b broken) Unwrap(ctx context.Context, aad, blob []byte) (redact.Secret, error) {
	if len(blob) < longBlob { // the probe is shorter
		return b.Versioned.Unwrap(ctx, aad, blob)
	}
	return redact.Secret{}, (*b.do.Load())()
}

// Nothing of what is encrypted is in a log, an answer or a metric, and nothing of what
// broke inside is in an answer.
func TestNothingIsShown(t *testing.T) {
	dir, log := directory(t), new(buffer.Buffer)
	b := broken{open(t, keyFile(t)), new(atomic.Pointer[func() error])}
	s, _ := run(t, config(t, simple+dir+"/kms.sock\nlisten: 127.0.0.1:0"), b, log)
	client := dial(t, dir+"/kms.sock")
	sealed, err := client.Encrypt(t.Context(), []byte(long))
	if err != nil {
		t.Fatal(err)
	}
	decrypt := func(do func() error) error {
		b.do.Store(&do)
		_, err := client.Decrypt(t.Context(), sealed)
		return err
	}
	foreign := &v2.EncryptResponse{Ciphertext: sealed.GetCiphertext(), KeyId: "canary-key-id", Annotations: sealed.GetAnnotations()}
	changed := &v2.EncryptResponse{Ciphertext: []byte("canary-ciphertext"), KeyId: sealed.GetKeyId(), Annotations: map[string][]byte{kms.Annotation: []byte("canary-annotation")}}
	for name, c := range map[string]struct {
		ask  func() error
		kind errs.Kind
	}{
		"a panic":             {func() error { return decrypt(func() error { panic("canary-panic") }) }, errs.Internal},
		"what broke inside":   {func() error { return decrypt(func() error { return errs.New(errs.Internal, "inside-detail") }) }, errs.Internal},
		"what nobody named":   {func() error { return decrypt(func() error { return errors.New("inside-detail") }) }, errs.Internal},
		"a store that is off": {func() error { return decrypt(func() error { return errs.New(errs.Unavailable, "the store is off") }) }, errs.Unavailable},
		"too much":            {func() error { _, err := client.Encrypt(t.Context(), bytes.Repeat([]byte("canary"), 1000)); return err }, errs.Invalid},
		"a foreign key id":    {func() error { _, err := client.Decrypt(t.Context(), foreign); return err }, errs.NotExist},
		"no ciphertext":       {func() error { _, err := client.Decrypt(t.Context(), changed); return err }, errs.Invalid},
	} {
		err := c.ask()
		if !errs.Is(err, c.kind) || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "inside-detail") {
			t.Errorf("%s is answered with %v, want kind %v without what is not to be shown", name, err, c.kind)
		}
	}
	text := log.String()
	if strings.Contains(text, "canary") || !strings.Contains(text, "uid=") || !strings.Contains(text, "inside-detail") {
		t.Errorf("the log shows what was encrypted, or no call, or not what broke:\n%s", text)
	}
	for _, path := range []string{"/metrics", "/healthz"} {
		if _, body := get(t, s, path); strings.Contains(body, "canary") || body == "" {
			t.Errorf("%s shows what was encrypted, or nothing:\n%s", path, body)
		}
	}
	if _, body := get(t, s, "/metrics"); !strings.Contains(body, `code="Internal",method="Decrypt"} 3`) {
		t.Error("the metrics do not count what was refused")
	}
}

// The version that is active next, by a file that was turned.
func TestTurnsByFile(t *testing.T) {
	dir, path := directory(t), keyFile(t)
	c := config(t, simple+dir+"/kms.sock\npoll: 20ms\nactivation_delay: 0s\nstale_after: 1h")
	run(t, c, open(t, path), io.Discard)
	client := dial(t, c.Socket)
	before, err := client.Encrypt(t.Context(), []byte("seed"))
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Add(path, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	until(t, client, func(id string, err error) bool { return err == nil && id != before.GetKeyId() })
	if plain, err := client.Decrypt(t.Context(), before); err != nil || string(plain) != "seed" {
		t.Errorf("what was encrypted before is not decrypted: %v", err)
	}
}
