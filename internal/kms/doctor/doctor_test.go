package doctor_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/awskms"
	"github.com/strongkeep/strongkeep/internal/keystore/azurekms"
	"github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/keystore/gcpkms"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11"
	"github.com/strongkeep/strongkeep/internal/keystore/transit"
	"github.com/strongkeep/strongkeep/internal/kms/conform"
	"github.com/strongkeep/strongkeep/internal/kms/doctor"
	"github.com/strongkeep/strongkeep/internal/kms/serve"
	"github.com/strongkeep/strongkeep/internal/redact"
)

var stores = map[string]keystore.Opener{"file": file.Open, "transit": transit.Open}

// machine is a node: its files below one directory.
type machine struct {
	t      *testing.T
	dir    string
	config string
}

func newMachine(t *testing.T) machine {
	t.Helper()
	dir, err := os.MkdirTemp("", "kms")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	m := machine{t, dir, filepath.Join(dir, "kms.yaml")}
	if _, err := file.Generate(filepath.Join(dir, "key")); err != nil {
		t.Fatal(err)
	}
	m.write("kms.yaml", "name: cluster\nsocket: "+dir+"/s\nkey: {file: {path: "+dir+"/key}}\n")
	return m
}

func (m machine) write(name, text string) string {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
	return path
}

// run serves with a configuration.
func (m machine) run(path string) {
	m.t.Helper()
	c, err := serve.Load(path)
	if err != nil {
		m.t.Fatal(err)
	}
	key, err := keystore.Open(stores, c.Key)
	if err != nil {
		m.t.Fatal(err)
	}
	s, err := serve.New(m.t.Context(), c, key, slog.New(slog.DiscardHandler))
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	m.t.Cleanup(func() { cancel(); <-done })
	for s.Plugin.About().KeyID == "" { // until it has looked
	}
}

// find returns the one finding whose question has the text.
func find(t *testing.T, found []doctor.Finding, question string) doctor.Finding {
	t.Helper()
	for _, f := range found {
		if strings.Contains(f.Question, question) {
			return f
		}
	}
	t.Fatalf("nobody asks %q: %+v", question, found)
	return doctor.Finding{}
}

func wants(t *testing.T, f doctor.Finding, level conform.Level, say string) {
	t.Helper()
	if f.Level != level || !strings.Contains(f.Detail, say) || (f.Next == "") != (level == conform.OK) {
		t.Errorf("%+v, want %s saying %q, with a next step unless it is well", f, level, say)
	}
}

func TestWell(t *testing.T) {
	m := newMachine(t)
	m.run(m.config)
	found := doctor.Check(t.Context(), doctor.Config{File: m.config, Stores: stores, Peers: []string{m.dir + "/s"}})
	if len(found) != 7 {
		t.Errorf("%d answers", len(found))
	}
	for _, f := range found {
		wants(t, f, conform.OK, "")
	}
}

func TestEachFault(t *testing.T) {
	check := func(m machine, c doctor.Config) []doctor.Finding {
		c.File, c.Stores = m.config, stores
		return doctor.Check(t.Context(), c)
	}
	t.Run("configuration", func(t *testing.T) {
		m := newMachine(t)
		m.write("kms.yaml", "nonsense: n")
		wants(t, find(t, check(m, doctor.Config{}), "configuration"), conform.Fail, "nonsense")
		m.write("kms.yaml", "key: {file: {path: "+m.dir+"/key}}")
		wants(t, find(t, check(m, doctor.Config{})[1:], "configuration"), conform.Fail, "name is missing")
		m.write("kms.yaml", "name: cluster\nkey: {file: {path: "+m.dir+"/none}}")
		wants(t, find(t, check(m, doctor.Config{}), "configuration"), conform.Fail, "no such file")
	})
	t.Run("key store away", func(t *testing.T) {
		m := newMachine(t)
		m.write("token", "canary")
		m.write("kms.yaml", "name: cluster\nsocket: "+m.dir+"/s\nkey: {transit: {address: 'https://127.0.0.1:1', key: k, auth: {token_file: "+m.dir+"/token}}}")
		wants(t, find(t, check(m, doctor.Config{}), "key store"), conform.Fail, "127.0.0.1:1")
	})
	t.Run("nothing runs", func(t *testing.T) {
		m := newMachine(t)
		found := check(m, doctor.Config{})
		wants(t, find(t, found, "only its owner"), conform.Fail, "no socket")
		wants(t, find(t, found, "the plugin answers"), conform.Fail, "Unavailable")
	})
	t.Run("rights", func(t *testing.T) {
		m := newMachine(t)
		m.run(m.config)
		if err := os.Chmod(m.dir+"/s", 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(m.dir, 0o777); err != nil {
			t.Fatal(err)
		}
		found := check(m, doctor.Config{})
		wants(t, find(t, found, "only its owner"), conform.Fail, "0666")
		wants(t, find(t, found, "nobody else can write"), conform.Fail, "0777")
	})
	t.Run("another configuration runs", func(t *testing.T) {
		m := newMachine(t)
		m.run(m.config)
		m.write("kms.yaml", "name: other\nsocket: "+m.dir+"/s\nkey: {file: {path: "+m.dir+"/key}}\n")
		found := check(m, doctor.Config{Peers: []string{m.dir + "/s"}})
		wants(t, find(t, found, "the plugin answers"), conform.Fail, "another configuration")
		wants(t, find(t, found, "has the same key"), conform.Fail, "and here it is")
	})
	t.Run("another node's key", func(t *testing.T) {
		m := newMachine(t)
		m.run(m.config)
		wants(t, find(t, check(m, doctor.Config{Expect: "sk1-other"}), "the plugin answers"), conform.Fail, "sk1-other")
	})
	t.Run("clock", func(t *testing.T) {
		m := newMachine(t)
		if err := file.Add(m.dir+"/key", time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		wants(t, find(t, check(m, doctor.Config{}), "clock"), conform.Fail, "after now")
	})
}

func TestAPIServer(t *testing.T) {
	m := newMachine(t)
	pod := func(args string) string {
		return m.write("pod.yaml", "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: a\n    command: [kube-apiserver"+args+"]\n    volumeMounts: [{name: v, mountPath: /etc/kubernetes}]\n  volumes: [{name: v, hostPath: {path: "+m.dir+"}}]\n")
	}
	provider := func(text string) {
		m.write("e.yaml", "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers: ["+text+"]\n")
	}
	ours := "{kms: {apiVersion: v2, name: strongkeep, endpoint: 'unix://" + m.dir + "/s'}}"
	const both = ", --encryption-provider-config=/etc/kubernetes/e.yaml, --encryption-provider-config-automatic-reload=true"
	for name, c := range map[string]struct {
		args, providers, say string
		level                conform.Level
	}{
		"well":           {both, ours + ", {identity: {}}", "names its socket", conform.OK},
		"no flag":        {"", ours, "nothing that it writes is encrypted", conform.Fail},
		"version 1":      {both, strings.Replace(ours, "v2", "v1", 1), "set apiVersion: v2", conform.Fail},
		"identity first": {both, "{identity: {}}, " + ours, "writes nothing", conform.Fail},
		"another":        {both, "{identity: {}}", "no provider", conform.Fail},
		"no such file":   {strings.Replace(both, "e.yaml", "none.yaml", 1), ours, "no such file", conform.Fail},
		"broken":         {both, "{aesgcm: {keys: [{name: k, secret: canary, more: 1}]}}", "is no EncryptionConfiguration", conform.Fail},
	} {
		provider(c.providers)
		found := doctor.Check(t.Context(), doctor.Config{File: m.config, Stores: stores, Manifest: pod(c.args)})
		f := find(t, found, "uses the plugin")
		t.Run(name, func(t *testing.T) { wants(t, f, c.level, c.say) })
		if strings.Contains(f.Detail, "canary") {
			t.Error("a key of the configuration is shown")
		}
	}
	for name, c := range map[string]struct {
		entries, say string
		level        conform.Level
	}{
		"secrets of another entry":   {"- {resources: [configmaps], providers: [OURS]}\n- {resources: [secrets], providers: [{identity: {}}]}", "secrets are not written with the plugin", conform.Fail},
		"by a wildcard":              {"- {resources: [configmaps], providers: [OURS]}\n- {resources: ['*.'], providers: [{identity: {}}]}", "secrets are not written", conform.Fail},
		"no entry for secrets":       {"- {resources: [configmaps, '*.apps'], providers: [OURS]}", "no entry", conform.Fail},
		"second of another entry":    {"- {resources: [secrets], providers: [OURS]}\n- {resources: [configmaps], providers: [{identity: {}}, OURS]}", "not the first of configmaps", conform.Fail},
		"another's stays in another": {"- {resources: [configmaps], providers: [{identity: {}}]}\n- {resources: [secrets], providers: [OURS, {identity: {}}]}", "names its socket", conform.OK},
		"the name before a wildcard": {"- {resources: [secrets], providers: [OURS]}\n- {resources: ['*.'], providers: [{identity: {}}]}", "names its socket", conform.OK},
		"all by a wildcard":          {"- {resources: ['*.apps'], providers: [{identity: {}}]}\n- {resources: ['*.*'], providers: [OURS]}", "names its socket", conform.OK},
	} {
		m.write("e.yaml", "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n"+strings.ReplaceAll(c.entries, "OURS", ours)+"\n")
		found := doctor.Check(t.Context(), doctor.Config{File: m.config, Stores: stores, Manifest: pod(both)})
		t.Run(name, func(t *testing.T) { wants(t, find(t, found, "uses the plugin"), c.level, c.say) })
	}
	provider(ours)
	found := doctor.Check(t.Context(), doctor.Config{File: m.config, Stores: stores, Manifest: pod(", --encryption-provider-config=/etc/kubernetes/e.yaml")})
	wants(t, find(t, found, "reloads"), conform.Warn, "needs a restart")
	found = doctor.Check(t.Context(), doctor.Config{File: m.config, Stores: stores, Manifest: m.dir + "/none"})
	wants(t, find(t, found, "uses the plugin"), conform.Warn, "not looked at")
}

// broken is a key file whose newest key does not encrypt.
type broken struct{ keystore.Versioned }

func (b broken) WrapAs(ctx context.Context, version string, aad []byte, plain redact.Secret) ([]byte, error) {
	h, err := b.History(ctx)
	if err != nil {
		return nil, err
	}
	if n := len(h.Versions); n > 1 && h.Versions[n-1].ID == version {
		return nil, errs.New(errs.Denied, "not this one")
	}
	return b.Versioned.WrapAs(ctx, version, aad, plain)
}

// A version that waits and does not work is told of before its time.
func TestWaitingVersion(t *testing.T) {
	m := newMachine(t)
	if err := file.Add(m.dir+"/key", time.Now()); err != nil {
		t.Fatal(err)
	}
	m.run(m.config)
	of := map[string]keystore.Opener{"file": func(raw []byte) (keystore.Versioned, error) {
		k, err := file.Open(raw)
		return broken{k}, err
	}}
	found := doctor.Check(t.Context(), doctor.Config{File: m.config, Stores: of})
	wants(t, find(t, found, "version that waits"), conform.Warn, "not this one")
	wants(t, find(t, found, "answers in time"), conform.OK, "is active")
	wants(t, find(t, found, "the plugin answers"), conform.OK, "")
}

// What an HSM lacks has next steps of its own.
func TestHSM(t *testing.T) {
	m := newMachine(t)
	loose := filepath.Join(m.dir, "pin")
	m.write("pin", "canary")
	if err := os.Chmod(loose, 0o644); err != nil {
		t.Fatal(err)
	}
	for next, pin := range map[string]string{"pkcs11-tool": m.dir + "/none", "locks itself": loose} {
		m.write("kms.yaml", "name: cluster\nsocket: "+m.dir+"/s\nkey: {pkcs11: {program: /none, module: /none.so, token: a, key: b, pin_file: "+pin+"}}")
		f := find(t, doctor.Check(t.Context(), doctor.Config{File: m.config, Stores: map[string]keystore.Opener{"pkcs11": pkcs11.Open}}), "answers in time")
		if wants(t, f, conform.Fail, "pin_file"); !strings.Contains(f.Next, next) {
			t.Errorf("the next step is %q, not %q", f.Next, next)
		}
	}
}

// What lies in deploy/kms is read by what it is for.
func TestDeploy(t *testing.T) {
	const dir = "../../../deploy/kms/"
	c, err := serve.Load(dir + "kms.yaml")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(dir + "encryption.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var e apiserverv1.EncryptionConfiguration
	if err := yaml.UnmarshalStrict(raw, &e); err != nil {
		t.Fatal(err)
	}
	if at := e.Resources[0].Providers[0].KMS.Endpoint; at != "unix://"+c.Socket {
		t.Errorf("the API server goes to %s, the plugin is at %s", at, c.Socket)
	}
	settings := strings.Replace(string(c.Key), `"ca_file":"/etc/strongkeep/vault-ca.pem",`, "", 1)
	if _, err := keystore.Open(stores, []byte(settings)); err != nil {
		t.Error(err)
	}
	for file, open := range map[string]keystore.Opener{"awskms": awskms.Open, "azurekms": azurekms.Open, "gcpkms": gcpkms.Open, "pkcs11": pkcs11.Open} {
		c, err := serve.Load(dir + "kms-" + strings.TrimSuffix(file, "kms") + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keystore.Open(map[string]keystore.Opener{file: open}, c.Key); err != nil {
			t.Error(err)
		}
	}
	unit, err := os.ReadFile(dir + "strongkeep-kms.service")
	if err != nil {
		t.Fatal(err)
	}
	pod, err := os.ReadFile(dir + "static-pod.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(unit), string(pod)} {
		if !strings.Contains(text, "/etc/strongkeep/kms.yaml") || !strings.Contains(text, "strongkeep-kms") || strings.Contains(text, "serviceaccount") {
			t.Errorf("it does not run the plugin with its configuration, or has a token:\n%s", text)
		}
	}
}
