package snapshot_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	keyfile "github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/testenv/await"
	"github.com/strongkeep/strongkeep/internal/testenv/etcdtest"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/placetest"
)

func TestMain(m *testing.M) {
	if os.Getenv("TEST_AS_STRONGKEEP") != "" {
		os.Exit(cli.Main(os.Args[1:], session.System()))
	}
	os.Exit(m.Run())
}

// world is a machine on which a vault runs.
type world struct {
	*testing.T
	dir, token string
	snapshot   string // of the plan daily
	server     *app.Server
	stop       func()
	store      *placetest.S3
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, dir: t.TempDir(), store: placetest.NewS3(t)}
	for _, dir := range []string{"etc", "backups", "bin"} {
		if err := os.Mkdir(filepath.Join(w.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := keyfile.Generate(filepath.Join(w.dir, "etc", "key")); err != nil {
		t.Fatal(err)
	}
	w.file("etc/s3", "[default]\naws_access_key_id = "+placetest.S3ID+"\naws_secret_access_key = "+placetest.S3Secret+"\n")
	w.file("etc/s3.secret", placetest.S3Secret)
	w.file("etc/server.yaml", "data_dir: "+w.dir+"/data\nlisten: 127.0.0.1:0\nunseal_key_file: "+w.dir+"/etc/key\n")
	w.file("etc/new.yaml", "data_dir: "+w.dir+"/new\nlisten: 127.0.0.1:0\nunseal_key_file: "+w.dir+"/etc/key\nstorage: etcd\netcd_endpoints: ["+
		etcdtest.Shared(t).Endpoint+"]\netcd_prefix: "+etcdtest.Prefix()+"\n")
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w.file("bin/strongkeep", "#!/bin/sh\nTEST_AS_STRONGKEEP=1 exec "+me+" \"$@\"\n")
	if err := os.Chmod(filepath.Join(w.dir, "bin/strongkeep"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.end() })
	return w
}

func (w *world) file(name, content string) {
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o600); err != nil {
		w.Fatal(err)
	}
}

// start runs a server on the store of a configuration.
func (w *world) start(config string) {
	w.Helper()
	c, err := app.LoadServerConfig(filepath.Join(w.dir, config))
	if err != nil {
		w.Fatal(err)
	}
	if w.server, err = app.NewServer(w.Context(), c); err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- w.server.Serve(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-served; err != nil {
			w.Error(err)
		}
		if err := w.server.Close(); err != nil {
			w.Error(err)
		}
	}
}

func (w *world) end() {
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

func (w *world) client() *vault.Client {
	w.Helper()
	cfg := vault.DefaultConfig()
	cfg.Address = w.server.URL()
	if err := cfg.ConfigureTLS(&vault.TLSConfig{CACert: w.server.CAFile()}); err != nil {
		w.Fatal(err)
	}
	c, err := vault.NewClient(cfg)
	if err != nil {
		w.Fatal(err)
	}
	c.SetToken(w.token)
	w.Cleanup(cfg.HttpClient.CloseIdleConnections)
	return c
}

// run runs a command line as the page has it, with this machine's paths.
func (w *world) run(line string) (string, error) {
	line = strings.NewReplacer("/etc/strongkeep/", w.dir+"/etc/", "/var/backups/", w.dir+"/backups/", "https://minio.example:9000", w.store.URL).Replace(line)
	cmd := exec.CommandContext(w.Context(), "sh", "-ec", line)
	cmd.Env = append(os.Environ(), "PATH="+w.dir+"/bin:"+os.Getenv("PATH"), "HOME="+w.dir, "GORACE=atexit_sleep_ms=10", "SNAPSHOT="+w.snapshot)
	if w.stop != nil {
		cmd.Env = append(cmd.Env, "VAULT_ADDR="+w.server.URL(), "VAULT_CACERT="+w.server.CAFile(), "VAULT_TOKEN="+w.token)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (w *world) must(line string, says ...string) {
	w.Helper()
	out, err := w.run(line)
	if err != nil {
		w.Fatalf("%s\n%v\n%s", line, err, out)
	}
	w.says(line, out, says)
}

func (w *world) fails(line string, says ...string) {
	w.Helper()
	out, err := w.run(line)
	if err == nil {
		w.Fatalf("%s\nworked:\n%s", line, out)
	}
	w.says(line, out, says)
}

func (w *world) says(line, out string, says []string) {
	w.Helper()
	for _, word := range says {
		if !strings.Contains(out, word) {
			w.Errorf("%s\ndoes not say %q:\n%s", line, word, out)
		}
	}
	if w.token != "" && strings.Contains(out, w.token) || strings.Contains(out, canary) || strings.Contains(out, placetest.Canary) {
		w.Errorf("%s\ntells a secret", line)
	}
}

const canary = "canary-4c2a4b8c9f1e"

// do runs a line of the page; what shows a secret is looked at.
func (w *world) do(line string) {
	w.Helper()
	switch {
	case strings.Contains(line, "snapshot read"):
		out, err := w.run(line)
		if err != nil || !strings.Contains(out, canary) {
			w.Fatal(line, err, out)
		}
	case strings.Contains(line, "restore -path"):
		w.must(line, "what lay there")
		if got := w.get("app/db"); got != canary {
			w.Errorf("%v is at the path", got)
		}
	default:
		w.must(line)
	}
}

// await waits for a plan's snapshot.
func (w *world) await(plan string) (name string) {
	w.Helper()
	await.Until(w.T, "a snapshot is made and proven", func() bool {
		answer, err := w.client().Logical().List("sys/storage/snapshots/list/" + plan)
		if err != nil || answer == nil {
			return false
		}
		keys := answer.Data["keys"].([]any)
		name = keys[len(keys)-1].(string)
		return true
	})
	return name
}

// init makes a vault with a secret in it.
func (w *world) init() {
	w.Helper()
	made, err := w.server.Gate().Init(w.Context(), seal.InitConfig{Shares: 1, Threshold: 1})
	if err != nil {
		w.Fatal(err)
	}
	w.token = made.RootToken.RevealString()
	c := w.client()
	if _, err := c.Logical().Write("sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]string{"version": "2"}}); err != nil {
		w.Fatal(err)
	}
	w.put("app/db", canary)
}

func (w *world) put(name, value string) {
	w.Helper()
	if _, err := w.client().Logical().Write("secret/data/"+name, map[string]any{"data": map[string]any{"password": value}}); err != nil {
		w.Fatal(err)
	}
}

func (w *world) get(name string) any {
	w.Helper()
	answer, err := w.client().Logical().Read("secret/data/" + name)
	if err != nil {
		w.Fatal(err)
	}
	if answer == nil || answer.Data["data"] == nil {
		return nil
	}
	return answer.Data["data"].(map[string]any)["password"]
}

func (w *world) held() bool {
	w.Helper()
	stats, ok := w.server.Gate().Leases()
	if !ok {
		w.Fatal("the vault is sealed")
	}
	return stats.Held
}

var step = regexp.MustCompile("(?s)<!-- server: (\\w+) -->|```\n(.*?)```")

// The page, from its first command to its last: what it says happens.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../../docs/operations/backups.md")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.start("etc/server.yaml")
	w.init()
	commands := 0
	for _, found := range step.FindAllStringSubmatch(string(page), -1) {
		switch found[1] {
		case "stop":
			w.end()
		case "lose":
			if err := os.RemoveAll(filepath.Join(w.dir, "data")); err != nil {
				t.Fatal(err)
			}
		case "spoil":
			w.snapshot = w.await("daily")
			w.put("app/db", "spoilt")
		case "stored":
			w.await("nightly")
			if keys := w.store.Keys(); len(keys) != 2 || keys[0] != "vault/before-upgrade.snapshot" || !strings.HasPrefix(keys[1], "vault/vault-snapshot-") {
				t.Errorf("in the bucket are %q", keys)
			}
		case "start":
			w.start("etc/server.yaml")
			if !w.held() || w.get("app/db") != canary {
				t.Error("the restored vault does not hold its leases, or not its secrets")
			}
		default:
			for line := range strings.Lines(found[2]) {
				w.do(strings.TrimSpace(line))
				commands++
			}
		}
	}
	if commands != 16 {
		t.Errorf("%d commands", commands)
	}
	w.start("etc/new.yaml")
	if w.held() || w.get("app/db") != canary {
		t.Error("the moved vault holds its leases, or not its secrets")
	}
	w.end()
	c, err := app.LoadServerConfig(filepath.Join(w.dir, "etc/server.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := app.NewServer(t.Context(), c); err == nil || !strings.Contains(err.Error(), "was moved out of this store") {
		t.Error("a server starts on the store that was left: ", err)
		if err == nil {
			_ = s.Close()
		}
	}
	w.must("strongkeep operator migrate -from=/etc/strongkeep/server.yaml -to=/etc/strongkeep/new.yaml", "has moved already")
}

// What goes wrong leaves what was there, and says so.
func TestRefused(t *testing.T) {
	w := newWorld(t)
	w.start("etc/server.yaml")
	w.init()
	w.must("strongkeep snapshot save /var/backups/a", "Signed", "yes")
	before, _ := os.ReadFile(filepath.Join(w.dir, "backups/a"))

	token, err := w.client().Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"default"}})
	if err != nil {
		t.Fatal(err)
	}
	root := w.token
	w.token = token.Auth.ClientToken
	w.fails("strongkeep snapshot save /var/backups/a", "permission denied")
	w.token = root
	if after, _ := os.ReadFile(filepath.Join(w.dir, "backups/a")); !bytes.Equal(before, after) {
		t.Error("a snapshot that failed has replaced one that had not")
	}
	if names, _ := os.ReadDir(filepath.Join(w.dir, "backups")); len(names) != 1 {
		t.Error("something else lies there")
	}
	w.fails("strongkeep snapshot save /var/backups/none/a", "no such file")
	w.fails("strongkeep snapshot save -config=/etc/strongkeep/server.yaml /var/backups/b", "is open already")
	w.fails("strongkeep snapshot restore /var/backups/a", "-config is missing")
	w.fails("strongkeep snapshot restore -config=/etc/strongkeep/server.yaml /var/backups/a", "is open already")

	broken := bytes.Clone(before)
	broken[len(broken)/2] ^= 1
	w.file("backups/broken", string(broken))
	w.fails("strongkeep snapshot inspect /var/backups/broken", "damaged at byte", "entries")
	w.fails("strongkeep snapshot restore -config=/etc/strongkeep/new.yaml /var/backups/broken", "damaged at byte")
	w.end()

	w.fails("strongkeep snapshot restore -config=/etc/strongkeep/server.yaml /var/backups/a", "not empty")
	w.must("strongkeep snapshot save -config=/etc/strongkeep/server.yaml /var/backups/offline", "yes, by the vault")
	w.file("etc/nokey.yaml", "data_dir: "+w.dir+"/data\n")
	w.must("strongkeep snapshot save -config=/etc/strongkeep/nokey.yaml /var/backups/unsigned", "Signed      no")
	w.fails("strongkeep snapshot verify -config=/etc/strongkeep/nokey.yaml /var/backups/a", "names no unseal key")
	w.fails("strongkeep snapshot verify -config=/etc/strongkeep/server.yaml /var/backups/unsigned", "not signed")
	w.file("etc/third.yaml", "data_dir: "+w.dir+"/third\n")
	w.fails("strongkeep snapshot restore -config=/etc/strongkeep/third.yaml /var/backups/unsigned", "-unsigned")
	w.must("strongkeep snapshot restore -unsigned -config=/etc/strongkeep/third.yaml /var/backups/unsigned", "Restored")

	if err := os.Remove(filepath.Join(w.dir, "etc/key")); err != nil {
		t.Fatal(err)
	}
	if _, err := keyfile.Generate(filepath.Join(w.dir, "etc/key")); err != nil {
		t.Fatal(err)
	}
	w.fails("strongkeep snapshot verify -config=/etc/strongkeep/server.yaml /var/backups/a", "wrapped by")
}

// In an object store too, what does not come back as it was is no snapshot, and a snapshot
// that is not there, or may not be read, is said to be so.
func TestRemote(t *testing.T) {
	w := newWorld(t)
	w.start("etc/server.yaml")
	w.init()
	at := func(name, more string) string {
		return "'s3://backups/vault/" + name + "?endpoint=https://minio.example:9000&path_style=true&region=eu-central-1&" + more + "'"
	}
	const known = "credentials_file=/etc/strongkeep/s3"
	w.must("strongkeep snapshot save "+at("a", known), "Signed", "yes")
	w.must("strongkeep snapshot inspect "+at("a", known), "Entries")
	w.must("strongkeep snapshot verify -server "+at("a", known), "The vault signed it.")
	w.fails("strongkeep snapshot save "+at("a", known), "already", "another name")
	w.fails("strongkeep snapshot inspect "+at("none", known), "is not there")
	w.fails("strongkeep snapshot inspect "+at("", known), "names no snapshot")
	w.fails("strongkeep snapshot inspect "+at("a", "secret=x"), "is no parameter of s3://")
	w.fails("strongkeep snapshot inspect "+at("a", "credentials_file=/etc/strongkeep/none"), "credentials_file")
	w.file("etc/wrong", "aws_access_key_id="+placetest.S3ID+"\naws_secret_access_key="+placetest.Canary+"\n")
	w.fails("strongkeep snapshot inspect "+at("a", "credentials_file=/etc/strongkeep/wrong"), "correct the credentials")
	w.fails("strongkeep snapshot save 's3://other/a?endpoint=https://minio.example:9000&path_style=true&"+known+"&region=eu-central-1'", "no such bucket")

	w.store.SpoilUploads()
	w.fails("strongkeep snapshot save "+at("b", known), "back from its place", "damaged at byte")
	if keys := w.store.Keys(); len(keys) != 1 || keys[0] != "vault/a" {
		t.Errorf("in the bucket are %q", keys)
	}
	w.end()
	if err := os.RemoveAll(filepath.Join(w.dir, "data")); err != nil {
		t.Fatal(err)
	}
	w.must("strongkeep snapshot restore -config=/etc/strongkeep/server.yaml "+at("a", known), "Restored")
	w.start("etc/server.yaml")
	if w.get("app/db") != canary {
		t.Error("what was restored is not what was saved")
	}
}
