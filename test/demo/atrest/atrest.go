package atrest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/test/cluster"
	"github.com/strongkeep/strongkeep/test/cluster/process"
	"github.com/strongkeep/strongkeep/test/demo/report"
)

// Config says where the act plays.
type Config struct {
	Binary string // strongkeep
	Dir    string // for its files; it does not exist
	LogDir string // exists
	// Canary hears of the key, and of the Secret that is in the clear.
	Canary func(what, secret string)
}

// Act is the plugin, and the way of one API server to it. It is for one goroutine, but for what Begin begins.
type Act struct {
	Config
	plugin *process.Process
	step   chan error // what came of configure
	cancel func()     // ends configure
	before counts
	value  string // of the Secret that is in the clear, in base64
}

// Prepare makes the key, starts the plugin, before and without any cluster, and writes the file with which an API server begins:
// it writes in the clear, and could read what the plugin encrypts.
func Prepare(ctx context.Context, c Config) (*Act, error) {
	a := &Act{Config: c}
	if err := os.MkdirAll(filepath.Dir(a.socket()), 0o700); err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	if _, err := a.run(ctx, "kms", "new-key", a.path("kms.key")); err != nil {
		return nil, err
	}
	key, err := os.ReadFile(a.path("kms.key"))
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	words := strings.Fields(string(key))
	c.Canary("the key of the KMS plugin", words[len(words)-1])
	for name, text := range map[string]string{
		a.path("kms.yaml"): fmt.Sprintf("name: demo\nsocket: %s\nlisten: 127.0.0.1:0\nkey: {file: {path: %s}}\n", a.socket(), a.path("kms.key")),
		a.File(): fmt.Sprintf("apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n"+
			"  - identity: {}\n  - kms: {apiVersion: v2, name: strongkeep, endpoint: \"unix://%s\", timeout: 3s}\n", a.socket()),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("writing %s: %w", filepath.Base(name), err)
		}
	}
	a.plugin, err = process.Start(process.Config{Name: "kms", Path: c.Binary, LogDir: c.LogDir, Args: []string{"kms", "run", "-config=" + a.path("kms.yaml")}})
	if err != nil {
		return nil, err
	}
	err = a.plugin.Await(ctx, func(ctx context.Context) error {
		_, err := a.keyID(ctx)
		return err
	})
	if err != nil {
		a.Stop()
	}
	return a, err
}

func (a *Act) path(name string) string { return filepath.Join(a.Dir, name) }

func (a *Act) socket() string { return filepath.Join(a.Dir, "run", "kms.sock") }

// File is the EncryptionConfiguration.
func (a *Act) File() string { return a.path("encryption.yaml") }

// Flags are those of the API server.
func (a *Act) Flags() []string {
	return []string{"--encryption-provider-config=" + a.File(), "--encryption-provider-config-automatic-reload=true"}
}

// grace is how long the plugin may take to end by itself.
const grace = 5 * time.Second

// Stop ends what runs. It may be called again, and of no act.
func (a *Act) Stop() {
	if a == nil {
		return
	}
	if a.cancel != nil {
		a.cancel()
	}
	a.plugin.Stop(grace)
}

// clearName is that of a Secret that is made before anything is encrypted.
const clearName = "from-before"

// Begin makes a Secret, counts what lies in etcd in the clear, and has the API server take the next step: it looks for a new file once a minute, and
// the rest of the demo goes on meanwhile.
func (a *Act) Begin(ctx context.Context, c *cluster.Cluster) (report.Outcome, error) {
	value := rand.Text()
	a.Canary("the Secret in the clear", value)
	a.value = base64.StdEncoding.EncodeToString([]byte(value))
	manifest := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "default", "name": %q}, "data": {"password": %q}}`, clearName, a.value)
	if _, err := c.Kubectl(ctx, strings.NewReader(manifest), "create", "-f", "-"); err != nil {
		return report.Outcome{}, err
	}
	var err error
	if a.before, err = a.verify(ctx, c.Etcd()); err != nil {
		return report.Outcome{}, err
	}
	if a.before.clear == 0 || a.before.clear != a.before.values {
		return report.Outcome{}, fmt.Errorf("%d of %d Secrets in etcd are in the clear at the beginning, and all should be", a.before.clear, a.before.values)
	}
	a.step = make(chan error, 1)
	ctx, a.cancel = context.WithCancel(context.WithoutCancel(ctx)) // it outlives this step
	go func() {
		_, err := a.run(ctx, "encryption", "configure", "-kubeconfig="+c.Kubeconfig(), "-server="+c.URL(), "-file="+a.File(), "-manifest=", "-socket="+a.socket())
		a.step <- err
	}()
	return report.Outcome{Text: fmt.Sprintf("%s in etcd, in the clear; `strongkeep encryption configure` has the API server encrypt, which reads its file once a minute", secrets(a.before.values))}, nil
}

// Await waits until the API server writes with the plugin.
func (a *Act) Await(ctx context.Context, _ *cluster.Cluster) (report.Outcome, error) {
	select {
	case <-ctx.Done():
		return report.Outcome{}, context.Cause(ctx)
	case err := <-a.step:
		return report.Outcome{Text: "the API server has the file in force and encrypts what is written from now on"}, err
	}
}

// End has the API server rewrite what is there, and reads in etcd that nothing is in the clear.
func (a *Act) End(ctx context.Context, c *cluster.Cluster) (report.Outcome, error) {
	if _, err := a.run(ctx, "encryption", "rewrite", "-kubeconfig="+c.Kubeconfig(), "-server="+c.URL(), "-pace=full", "-by=ourselves"); err != nil {
		return report.Outcome{}, err
	}
	key, err := a.keyID(ctx)
	if err != nil {
		return report.Outcome{}, err
	}
	after, err := a.verify(ctx, c.Etcd(), "-provider=strongkeep", "-key-id="+key)
	if err != nil {
		return report.Outcome{}, err
	}
	if after.no > 0 || after.clear > 0 || after.values < a.before.values {
		return report.Outcome{}, fmt.Errorf("of %d Secrets in etcd %d are in the clear, and %d questions are not answered with yes", after.values, after.clear, after.no)
	}
	if err := a.sameValue(ctx, c); err != nil {
		return report.Outcome{}, err
	}
	return report.Outcome{
		Text:  fmt.Sprintf("all %s in etcd, read one by one, are under key %s, which neither etcd nor the API server has", secrets(after.values), key),
		Notes: []string{"reported, signed, and verified with the public key alone"},
	}, a.sign(ctx, c, key)
}

// Reports is the folder of signed reports, and Public the file of the key that verifies them. Neither is there before End.
func (a *Act) Reports() string { return a.path("reports") }

// Public is the public half of the key that signs.
func (a *Act) Public() string { return a.path("report.pub") }

// sign writes a report for an auditor, and verifies it.
func (a *Act) sign(ctx context.Context, c *cluster.Cluster, key string) error {
	public, err := a.run(ctx, "encryption", "report", "new-key", a.path("report.key"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(a.Public(), public, 0o600); err != nil {
		return fmt.Errorf("writing the public key: %w", err)
	}
	args := append(reads("report", c.Etcd()), "-kubeconfig="+c.Kubeconfig(), "-server="+c.URL(), "-file="+a.File(), "-dir="+a.Reports(), "-sign-key="+a.path("report.key"), "-provider=strongkeep", "-key-id="+key)
	if _, err := a.run(ctx, args...); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(a.Reports(), "*.json"))
	if err != nil || len(files) != 1 {
		return fmt.Errorf("%d reports were written, not one (%w)", len(files), err)
	}
	_, err = a.run(ctx, "encryption", "report", "verify", files[0], "-key="+a.Public())
	return err
}

// reads are the arguments of a command that reads etcd.
func reads(command string, at cluster.Etcd) []string {
	return []string{"encryption", command, "-etcd=" + at.Endpoint, "-etcd-ca=" + at.CAFile, "-etcd-cert=" + at.CertFile, "-etcd-key=" + at.KeyFile}
}

// sameValue reports whether the Secret that was in the clear holds what it held, and removes it.
func (a *Act) sameValue(ctx context.Context, c *cluster.Cluster) error {
	value, err := c.Kubectl(ctx, nil, "get", "secret", clearName, "--namespace=default", "--output=jsonpath={.data.password}")
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(value)) != a.value {
		return errors.New("the Secret that was in the clear has another value")
	}
	_, err = c.Kubectl(ctx, nil, "delete", "secret", clearName, "--namespace=default")
	return err
}

func secrets(n int) string {
	if n == 1 {
		return "1 Secret"
	}
	return fmt.Sprintf("%d Secrets", n)
}

// counts are what was read in etcd.
type counts struct {
	values, clear int
	no            int // questions that are answered with no
}

// verify reads all Secrets in etcd. That some are in the clear is no error.
func (a *Act) verify(ctx context.Context, at cluster.Etcd, want ...string) (counts, error) {
	out, err := a.run(ctx, append(append(reads("verify", at), "-o=json"), want...)...)
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == exitFound) {
		return counts{}, err
	}
	return count(out)
}

// exitFound is the exit code of strongkeep for what was looked for and is there (docs/cli.md).
const exitFound = 10

// count reads the answer of verify.
func count(answer []byte) (counts, error) {
	var told struct {
		Resources []struct {
			Values int `json:"values"`
			Under  []struct {
				Provider string `json:"provider"`
				Values   int    `json:"values"`
			} `json:"under"`
		} `json:"resources"`
		Answers []struct {
			Answer string `json:"answer"`
		} `json:"answers"`
	}
	if err := json.Unmarshal(answer, &told); err != nil {
		return counts{}, fmt.Errorf("reading what strongkeep encryption verify printed: %w", err)
	}
	var c counts
	for _, r := range told.Resources {
		c.values += r.Values
		for _, g := range r.Under {
			if g.Provider == "clear" {
				c.clear += g.Values
			}
		}
	}
	for _, q := range told.Answers {
		if q.Answer == "no" {
			c.no++
		}
	}
	return c, nil
}

// keyID is that of the plugin.
func (a *Act) keyID(ctx context.Context) (string, error) {
	out, err := a.run(ctx, "kms", "status", "-socket="+a.socket(), "-field=key_id")
	return strings.TrimSpace(string(out)), err
}

// run runs strongkeep and returns its standard output.
func (a *Act) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, a.Binary, args...)
	cmd.Env = append(os.Environ(), "HOME="+a.Dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("running strongkeep %s: %w: %s", strings.Join(args[:2], " "), err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}
