package rescue

import (
	"bytes"
	"context"
	"crypto/aes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apiserver/pkg/storage/value"
	aestransformer "k8s.io/apiserver/pkg/storage/value/encrypt/aes"
	kmstypes "k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2/v2"
	"k8s.io/apiserver/pkg/storage/value/encrypt/secretbox"
	"k8s.io/client-go/kubernetes/scheme"
	v2 "k8s.io/kms/apis/v2"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/kms"
	"github.com/strongkeep/strongkeep/internal/kms/conform"
	"github.com/strongkeep/strongkeep/internal/kms/serve"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
	"github.com/strongkeep/strongkeep/internal/testenv/await"
)

const canary = "canary-value-3d7e"

// plugin1 is a real plugin with a key file.
type plugin1 struct {
	dir, key string
	stop     func()
}

func (p *plugin1) socket() string { return filepath.Join(p.dir, "p.sock") }

// startPlugin runs one with a new key, until the test ends.
func startPlugin(t *testing.T) *plugin1 {
	t.Helper()
	dir, err := os.MkdirTemp("", "rescue") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &plugin1{dir: dir, key: filepath.Join(dir, "key")}
	if _, err := file.Generate(p.key); err != nil {
		t.Fatal(err)
	}
	p.start(t)
	return p
}

func (p *plugin1) start(t *testing.T) {
	t.Helper()
	c, err := serve.Parse([]byte("name: test\nsocket: " + p.socket() + "\nkey: {file: {path: unused}}\npoll: 2s\nactivation_delay: 4s\n"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := file.Load(p.key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := serve.New(t.Context(), c, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	p.stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(p.stop)
	await.Until(t, "the plugin is healthy", func() bool { _, err := p.client(t).Status(t.Context()); return err == nil })
}

func (p *plugin1) client(t *testing.T) *conform.Client {
	t.Helper()
	c, err := conform.Dial(p.socket())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// seal writes as an API server with this plugin does.
func (p *plugin1) seal(t *testing.T, provider, key string, plain []byte) string {
	t.Helper()
	seed := bytes.Repeat([]byte{7}, 32)
	sealed, err := p.client(t).Encrypt(t.Context(), seed)
	if err != nil {
		t.Fatal(err)
	}
	transformer, err := aestransformer.NewHKDFExtendedNonceGCMTransformer(seed)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := proto.Marshal(&kmstypes.EncryptedObject{
		EncryptedData: transformed(t, transformer, key, plain), KeyID: sealed.GetKeyId(), EncryptedDEKSource: sealed.GetCiphertext(),
		Annotations: sealed.GetAnnotations(), EncryptedDEKSourceType: kmstypes.EncryptedDEKSourceType_HKDF_SHA256_XNONCE_AES_GCM_SEED,
	})
	if err != nil {
		t.Fatal(err)
	}
	return "k8s:enc:kms:v2:" + provider + ":" + string(raw)
}

func transformed(t *testing.T, with value.Transformer, key string, plain []byte) []byte {
	t.Helper()
	out, err := with.TransformToStorage(t.Context(), plain, value.DefaultContext(key))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The local keys of the tests.
var key1, key2 = bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)

// sealLocal writes as an API server with a local key does.
func sealLocal(t *testing.T, kind stored.Kind, name string, secret []byte, key string, plain []byte) string {
	t.Helper()
	block, err := aes.NewCipher(secret)
	if err != nil {
		t.Fatal(err)
	}
	with := aestransformer.NewCBCTransformer(block)
	switch kind {
	case stored.AESGCM:
		if with, err = aestransformer.NewGCMTransformer(block); err != nil {
			t.Fatal(err)
		}
	case stored.Secretbox:
		with = secretbox.NewSecretboxTransformer([32]byte(secret))
	}
	return fmt.Sprintf("k8s:enc:%s:v1:%s:%s", kind, name, transformed(t, with, key, plain))
}

// secret is a Secret as API servers store it.
func secret(t *testing.T, namespace, name, password string) []byte {
	t.Helper()
	o := &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "uid-of-before", ResourceVersion: "7", Generation: 3},
		Data:       map[string][]byte{"password": []byte(password)},
	}
	var out bytes.Buffer
	if err := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(o, &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// snapshot writes one with values: each a key of etcd and a value, of revisions from
// first on.
func snapshot(t *testing.T, first int64, values ...string) stored.Snapshot {
	t.Helper()
	var all []Finding
	for i := 0; i < len(values); i += 2 {
		all = append(all, Finding{key: []byte(values[i]), content: []byte(values[i+1]), Revision: first + int64(i/2)})
	}
	path := filepath.Join(t.TempDir(), "etcd.db")
	if err := write(path, all); err != nil {
		t.Fatal(err)
	}
	return stored.Snapshot{Path: path}
}

// keys loads a configuration with providers of Secrets and widgets.
func keys(t *testing.T, providers ...string) *Keys {
	t.Helper()
	path := filepath.Join(t.TempDir(), "encryption.yaml")
	text := "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets, widgets.example.com]\n  providers:\n  - " + strings.Join(providers, "\n  - ") + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

func kmsProvider(name string, p *plugin1) string {
	return fmt.Sprintf(`kms: {apiVersion: v2, name: %s, endpoint: "unix://%s"}`, name, p.socket())
}

func localProvider(kind, name string, secret []byte) string {
	return fmt.Sprintf("%s: {keys: [{name: %s, secret: %s}]}", kind, name, base64.StdEncoding.EncodeToString(secret))
}

func find(t *testing.T, cfg Config) *Report {
	t.Helper()
	if cfg.Resources == nil {
		cfg.Resources = []string{"secrets"}
	}
	r, err := Find(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(r)
	if err != nil || strings.Contains(string(raw)+fmt.Sprintf("%+v %#v", r, r), canary) || strings.Contains(string(raw), base64.StdEncoding.EncodeToString([]byte(canary))) {
		t.Errorf("the report tells a value, or: %v", err)
	}
	return r
}

func states(all []Finding) (out []string) {
	for i := range all {
		out = append(out, strings.TrimPrefix(all[i].Name, "a/")+": "+string(all[i].State))
	}
	return out
}

func at(name string) string { return "/registry/secrets/a/" + name }

// every is one value of each kind, by name.
func every(t *testing.T, mine, other *plugin1) []string {
	t.Helper()
	var all []string
	for _, v := range []struct {
		name string
		seal func(string, []byte) string
	}{
		{"clear", func(_ string, plain []byte) string { return string(plain) }},
		{"kms", func(key string, plain []byte) string { return mine.seal(t, "strongkeep", key, plain) }},
		{"cbc", func(key string, plain []byte) string { return sealLocal(t, stored.AESCBC, "one", key1, key, plain) }},
		{"gcm", func(key string, plain []byte) string { return sealLocal(t, stored.AESGCM, "one", key1, key, plain) }},
		{"box", func(key string, plain []byte) string { return sealLocal(t, stored.Secretbox, "one", key1, key, plain) }},
		{"gone", func(key string, plain []byte) string { return other.seal(t, "strongkeep", key, plain) }},
		{"renamed", func(key string, plain []byte) string { return mine.seal(t, "another", key, plain) }},
		{"local-name", func(key string, plain []byte) string { return sealLocal(t, stored.AESCBC, "two", key2, key, plain) }},
		{"local-key", func(key string, plain []byte) string { return sealLocal(t, stored.AESGCM, "one", key2, key, plain) }},
		{"moved", func(key string, plain []byte) string { return mine.seal(t, "strongkeep", key+"-elsewhere", plain) }},
		{"flipped", func(key string, plain []byte) string {
			return strings.Replace(mine.seal(t, "strongkeep", key, plain), kms.Annotation, "x"+kms.Annotation[1:], 1)
		}},
		{"v1", func(string, []byte) string { return "k8s:enc:kms:v1:strongkeep:data" }},
		{"nothing", func(string, []byte) string { return "k8s:enc:nothing" }},
		{"garbage", func(string, []byte) string { return "garbage " + canary }},
		{"nothing-below", func(key string, _ []byte) string { return mine.seal(t, "strongkeep", key, []byte("garbage")) }},
	} {
		all = append(all, at(v.name), v.seal(at(v.name), secret(t, "a", v.name, canary)))
	}
	return all
}

// What opens is not told of; for what does not, it is known why.
func TestFind(t *testing.T) {
	mine, other := startPlugin(t), startPlugin(t)
	k := keys(t, kmsProvider("strongkeep", mine), localProvider("aescbc", "one", key1), localProvider("aesgcm", "one", key1), localProvider("secretbox", "one", key1), "identity: {}")
	r := find(t, Config{From: snapshot(t, 2, every(t, mine, other)...), Keys: k})
	want := []string{
		"flipped: damaged", "garbage: damaged", "gone: key gone", "local-key: damaged", "local-name: provider missing", "moved: damaged",
		"nothing: damaged", "nothing-below: damaged", "renamed: provider missing", "v1: provider missing",
	}
	if got := states(r.Lost); fmt.Sprint(got) != fmt.Sprint(want) || len(r.Unknown) != 0 || r.Read != 15 {
		t.Errorf("%d read, lost:\n%s\nunknown: %s", r.Read, strings.Join(got, "\n"), states(r.Unknown))
	}
	for i := range r.Lost {
		f := &r.Lost[i]
		if f.Revision < 2 || len(f.Do) == 0 || f.Name == "a/gone" && (f.KeyID == "" || !strings.Contains(f.Do[0], f.KeyID)) {
			t.Errorf("%+v", f)
		}
	}
	one := find(t, Config{From: snapshot(t, 2, every(t, mine, other)...), Keys: k, Only: []string{"a/gone", "a/kms"}})
	if fmt.Sprint(states(one.Lost)) != "[gone: key gone]" {
		t.Error(states(one.Lost))
	}
	_, err := Find(t.Context(), Config{From: snapshot(t, 2, every(t, mine, other)...), Keys: k, Resources: []string{"secrets"}, Only: []string{"a/none"}})
	if errs.KindOf(err) != errs.NotExist {
		t.Errorf("a name that is not there: %v", err)
	}
	if _, err := Find(t.Context(), Config{From: snapshot(t, 2), Keys: k, Resources: []string{"*.*"}}); errs.KindOf(err) != errs.Invalid {
		t.Errorf("a wildcard: %v", err)
	}
}

// Without identity an API server reads nothing in the clear.
func TestClearWithoutIdentity(t *testing.T) {
	r := find(t, Config{From: snapshot(t, 2, at("clear"), string(secret(t, "a", "clear", canary))), Keys: keys(t, localProvider("aescbc", "one", key1))})
	if fmt.Sprint(states(r.Lost)) != "[clear: provider missing]" || !strings.Contains(r.Lost[0].Do[0], "identity") || len(r.Lost[0].Values) != 1 {
		t.Errorf("%+v", r.Lost)
	}
}

// What a plugin that is away would open is not lost, unless somebody says so; and what
// opens is not lost whatever anybody says.
func TestPluginAway(t *testing.T) {
	mine, other := startPlugin(t), startPlugin(t)
	id, err := mine.client(t).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	from := snapshot(t, 2, at("one"), mine.seal(t, "strongkeep", at("one"), secret(t, "a", "one", canary)))
	provider := kmsProvider("strongkeep", mine)
	if r := find(t, Config{From: from, Keys: keys(t, provider), Gone: []string{id.GetKeyId()}}); len(r.Lost)+len(r.Unknown) != 0 {
		t.Errorf("said to be gone, and opens: %+v", r)
	}
	mine.stop()
	if r := find(t, Config{From: from, Keys: keys(t, provider)}); len(r.Lost) != 0 || fmt.Sprint(states(r.Unknown)) != "[one: not known]" || len(r.Deletable()) != 0 {
		t.Errorf("with the plugin away: %+v", r)
	}
	if r := find(t, Config{From: from, Keys: keys(t, provider), Gone: []string{id.GetKeyId()}}); fmt.Sprint(states(r.Lost)) != "[one: key gone]" {
		t.Errorf("said to be gone: %+v", r)
	}
	// Another key in its place.
	if r := find(t, Config{From: from, Keys: keys(t, kmsProvider("strongkeep", other))}); fmt.Sprint(states(r.Lost)) != "[one: key gone]" {
		t.Errorf("another key: %+v", r)
	}
}

// stub is a plugin that says what it is told to.
type stub struct {
	v2.UnimplementedKeyManagementServiceServer
	decrypt codes.Code
	status  codes.Code
	healthz string
}

func (s *stub) Status(context.Context, *v2.StatusRequest) (*v2.StatusResponse, error) {
	return &v2.StatusResponse{Version: "v2", Healthz: s.healthz, KeyId: "id"}, status.Error(s.status, canary)
}

func (s *stub) Decrypt(context.Context, *v2.DecryptRequest) (*v2.DecryptResponse, error) {
	return &v2.DecryptResponse{Plaintext: []byte("short")}, status.Error(s.decrypt, canary)
}

// Of all that plugins may say, only "no such key" of one that is well makes a key gone.
func TestWhatPluginsSay(t *testing.T) {
	dir, err := os.MkdirTemp("", "rescue")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &plugin1{dir: dir}
	listener, err := net.Listen("unix", p.socket())
	if err != nil {
		t.Fatal(err)
	}
	said := &stub{}
	server := grpc.NewServer()
	v2.RegisterKeyManagementServiceServer(server, said)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	raw, err := proto.Marshal(&kmstypes.EncryptedObject{EncryptedData: []byte("x"), KeyID: "id", EncryptedDEKSource: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	from := snapshot(t, 2, at("one"), "k8s:enc:kms:v2:strongkeep:"+string(raw))
	provider := kmsProvider("strongkeep", p)
	for _, c := range []struct {
		decrypt, status codes.Code
		healthz         string
		want            State
	}{
		{codes.NotFound, codes.OK, "ok", KeyGone},
		{codes.InvalidArgument, codes.OK, "ok", KeyGone},
		{codes.NotFound, codes.Unavailable, "ok", NotKnown},
		{codes.NotFound, codes.OK, "ill", NotKnown},
		{codes.Unavailable, codes.OK, "ok", NotKnown},
		{codes.Unknown, codes.OK, "ok", NotKnown},
		{codes.Internal, codes.OK, "ok", NotKnown},
		{codes.PermissionDenied, codes.OK, "ok", NotKnown},
		{codes.DeadlineExceeded, codes.OK, "ok", NotKnown},
		{codes.ResourceExhausted, codes.OK, "ok", NotKnown},
		{codes.OK, codes.OK, "ok", Damaged}, // what it opens is no key
	} {
		*said = stub{decrypt: c.decrypt, status: c.status, healthz: c.healthz}
		r := find(t, Config{From: from, Keys: keys(t, provider)})
		if all := append(r.Lost, r.Unknown...); len(all) != 1 || all[0].State != c.want || (c.want == NotKnown) != (len(r.Unknown) == 1) {
			t.Errorf("%+v: %s, %s", c, states(r.Lost), states(r.Unknown))
		}
	}
}

// The newest value that opens is restored: overwritten ones, those of backups, and those
// that an older configuration opens.
func TestRestore(t *testing.T) {
	mine, other := startPlugin(t), startPlugin(t)
	lost := func(name string) string { return other.seal(t, "strongkeep", at(name), secret(t, "a", name, "lost")) }
	from := snapshot(t, 100,
		at("overwritten"), mine.seal(t, "strongkeep", at("overwritten"), secret(t, "a", "overwritten", canary)),
		at("overwritten"), lost("overwritten"),
		at("backup"), lost("backup"), at("old-key"), lost("old-key"), at("nowhere"), lost("nowhere"), at("other"), lost("other"))
	older := snapshot(t, 10, at("backup"), string(secret(t, "a", "backup", "older")))
	newer := snapshot(t, 20, at("backup"), mine.seal(t, "strongkeep", at("backup"), secret(t, "a", "backup", canary)),
		at("old-key"), sealLocal(t, stored.AESCBC, "two", key2, at("old-key"), secret(t, "a", "old-key", canary)),
		at("other"), string(secret(t, "b", "other", "of another name")))
	oldest := snapshot(t, 5, at("backup"), string(secret(t, "a", "backup", "oldest")))
	r := find(t, Config{
		From: from, Keys: keys(t, kmsProvider("strongkeep", mine), "identity: {}"), Old: []*Keys{keys(t, localProvider("aescbc", "two", key2))},
		Backups: []stored.Source{older, newer, oldest},
	})
	if len(r.Lost) != 5 || len(r.Lost[0].Values) != 3 || r.Lost[0].Values[0].Revision != 20 || r.Lost[0].Values[0].Source == "" {
		t.Fatalf("%+v", r.Lost)
	}
	text, n, missing := Manifest(r.Lost)
	got := text.RevealString()
	if n != 3 || len(missing) != 2 || !strings.Contains(strings.Join(missing, "\n"), "a/nowhere") || !strings.Contains(strings.Join(missing, "\n"), "a/other: what opens is another object") {
		t.Errorf("%d restored, missing %q", n, missing)
	}
	password := "password: " + base64.StdEncoding.EncodeToString([]byte(canary))
	if strings.Count(got, password) != 3 || strings.Count(got, "kind: Secret") != 3 || strings.Count(got, "apiVersion: v1") != 3 {
		t.Error("the manifest has not what was stored")
	}
	for _, gone := range []string{"uid", "resourceVersion", "generation"} {
		if strings.Contains(got, gone) {
			t.Errorf("the manifest has %s, and could not be created with it", gone)
		}
	}
}

// Custom resources are JSON in etcd.
func TestRestoreOfCustomResource(t *testing.T) {
	key := "/registry/example.com/widgets/a/one"
	plain := `{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"one","namespace":"a","uid":"u"},"spec":{"password":"` + canary + `"},"status":{"x":1}}`
	from := snapshot(t, 2, key, plain, key, sealLocal(t, stored.AESCBC, "two", key2, key, []byte(plain)))
	r := find(t, Config{From: from, Resources: []string{"widgets.example.com"}, Keys: keys(t, localProvider("aescbc", "one", key1))})
	text, n, _ := Manifest(r.Lost)
	if got := text.RevealString(); n != 1 || !strings.Contains(got, "password: "+canary) || strings.Contains(got, "uid") || strings.Contains(got, "status") {
		t.Errorf("%d restored", n)
	}
}

// The copy is a file of its owner's that was not there before, and a backup when the key
// is back.
func TestCopy(t *testing.T) {
	mine := startPlugin(t)
	lost := snapshot(t, 2, at("one"), mine.seal(t, "strongkeep", at("one"), secret(t, "a", "one", canary)))
	mine.stop()
	cfg := Config{From: lost, Keys: keys(t, kmsProvider("strongkeep", mine)), Gone: []string{"kms-v2/strongkeep"}}
	r := find(t, cfg)
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := Copy(path, r.Deletable()); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if err := Copy(path, r.Deletable()); errs.KindOf(err) != errs.Exist {
		t.Errorf("over a file that is there: %v", err)
	}
	mine.start(t)
	cfg.Keys = cfg.Keys.fresh()
	t.Cleanup(cfg.Keys.Close)
	cfg.From, cfg.Backups = snapshot(t, 9, at("one"), "k8s:enc:nothing"), []stored.Source{stored.Snapshot{Path: path}}
	if text, n, _ := Manifest(find(t, cfg).Lost); n != 1 || !strings.Contains(text.RevealString(), base64.StdEncoding.EncodeToString([]byte(canary))) {
		t.Errorf("%d restored from the copy", n)
	}
}

// The key is back: of a copy everything is restored, of another snapshot what is named.
func TestReadable(t *testing.T) {
	mine := startPlugin(t)
	seal := func(name string) string { return mine.seal(t, "strongkeep", at(name), secret(t, "a", name, canary)) }
	from := snapshot(t, 2, at("one"), seal("one"), at("two"), seal("two"))
	mine.stop()
	provider := kmsProvider("strongkeep", mine)
	r := find(t, Config{From: from, Keys: keys(t, provider), Gone: []string{"kms-v2/strongkeep"}})
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := Copy(path, r.Deletable()); err != nil {
		t.Fatal(err)
	}
	mine.start(t)
	for name, c := range map[string]struct {
		Config
		want int
	}{
		"copy":               {Config{From: stored.Snapshot{Path: path}, Readable: true}, 2},
		"copy, not restored": {Config{From: stored.Snapshot{Path: path}}, 0},
		"copy, named":        {Config{From: stored.Snapshot{Path: path}, Readable: true, Only: []string{"a/two"}}, 1},
		"another":            {Config{From: from, Readable: true}, 0},
		"another, named":     {Config{From: from, Readable: true, Only: []string{"a/one"}}, 1},
	} {
		c.Keys = keys(t, provider)
		r := find(t, c.Config)
		text, n, missing := Manifest(r.Readable)
		if n != c.want || len(missing)+len(r.Lost)+len(r.Unknown) != 0 || strings.Count(text.RevealString(), base64.StdEncoding.EncodeToString([]byte(canary))) != c.want {
			t.Errorf("%s: %d restored, missing %q, %d lost", name, n, missing, len(r.Lost))
		}
		if c.want == 2 && (r.Readable[0].Name != "a/one" || !strings.Contains(r.Readable[0].Values[0].Source, path)) {
			t.Errorf("%s: %+v", name, r.Readable)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte("kind: Pod"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]errs.Kind{filepath.Join(dir, "none"): errs.NotExist, bad: errs.Invalid, dir: errs.Unavailable} {
		if _, err := Load(path); errs.KindOf(err) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Nothing is deleted by what a snapshot says, or without an API server.
func TestRemoveTakesEtcd(t *testing.T) {
	for _, cfg := range []Config{{From: snapshot(t, 2)}, {From: &stored.Etcd{}}} {
		if _, err := Remove(t.Context(), cfg, nil, "unused"); errs.KindOf(err) != errs.Invalid {
			t.Error(err)
		}
	}
}

// FuzzOpen gives what etcd may hold.
func FuzzOpen(f *testing.F) {
	f.Add([]byte("k8s:enc:kms:v2:strongkeep:\x0a\x01x\x12\x01y\x1a\x01z"))
	f.Add([]byte("k8s:enc:aescbc:v1:one:0123456789abcdef0123456789abcdef"))
	f.Add([]byte("k8s:enc:secretbox:v1:one:x"))
	f.Add([]byte("k8s\x00"))
	f.Fuzz(func(t *testing.T, content []byte) {
		k := keys(t, `kms: {apiVersion: v2, name: strongkeep, endpoint: "unix:///nowhere/p.sock"}`, localProvider("aescbc", "one", key1), localProvider("secretbox", "one", key1), "identity: {}")
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // the plugin is not asked
		out := k.open(ctx, "secrets", []byte("/registry/secrets/a/b"), content)
		if out.state == "" || out.state == Readable && out.plain.Empty() || out.state != Readable && out.why == "" {
			t.Errorf("%+v", out)
		}
	})
}

// FuzzDecode gives what decrypts.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"kind":"Secret","apiVersion":"v1","metadata":{"name":"x"}}`))
	f.Add([]byte("k8s\x00\x0a\x0c\x0a\x02v1\x12\x06Secret\x12\x00"))
	f.Add([]byte(`{"kind":"Secret","metadata":7}`))
	f.Fuzz(func(t *testing.T, plain []byte) {
		lost := Finding{Object: stored.Object{Resource: "secrets", Name: "a/b"}, Values: []Value{{plain: judged(plain, nil).plain}}}
		if _, err := lost.newest(); err != nil && errs.KindOf(err) == errs.Internal {
			t.Error(err)
		}
	})
}
