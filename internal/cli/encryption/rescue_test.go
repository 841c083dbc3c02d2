package encryption_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
)

// lost are a snapshot with a value whose key is not in a configuration, and was in the
// clear before; one that opens; and the configuration.
func lost(t *testing.T) (snapshotFile, config string) {
	t.Helper()
	secret := func(name string) string {
		return `{"kind":"Secret","apiVersion":"v1","metadata":{"name":"` + name + `","namespace":"a"},"data":{"password":"` + base64.StdEncoding.EncodeToString([]byte(canary)) + `"}}`
	}
	snapshotFile = snapshot(t, "/registry/secrets/a/lost", secret("lost"), "/registry/secrets/a/lost", "k8s:enc:aescbc:v1:gone:"+canary,
		"/registry/secrets/a/hopeless", "k8s:enc:aescbc:v1:gone:"+canary, "/registry/secrets/a/fine", secret("fine"))
	config = filepath.Join(t.TempDir(), "encryption.yaml")
	text := "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n  - identity: {}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return snapshotFile, config
}

func TestRescue(t *testing.T) {
	from, config := lost(t)
	there := filepath.Join(t.TempDir(), "there")
	if err := os.WriteFile(there, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	offline := []string{"-snapshot=" + from, "-file=" + config}
	for name, c := range map[string]struct {
		args []string
		code int
		want []string // in what is written
	}{
		"found":             {offline, 10, []string{"Read 3 values", "2 are lost", "a/hopeless    provider missing    aescbc/gone", "put aescbc/gone back", "restore the value of revision 2", "say so with -gone=aescbc/gone"}},
		"said to be gone":   {append(offline, "-gone=aescbc/gone", "a/lost"), 10, []string{"a/lost    key gone", "bring the key of aescbc/gone back"}},
		"json":              {append(offline, "-o=json"), 10, []string{`"deletable": 0`, `"state": "provider missing"`}},
		"json, to delete":   {append(offline, "-o=json", "-gone=aescbc/gone"), 10, []string{`"deletable": 2`, `"deletable": true`, `"confirm": "2-`}},
		"field":             {append(offline, "-field=deletable"), 10, []string{"0"}},
		"nothing lost":      {append(offline, "a/fine"), 0, []string{"0 are lost"}},
		"no such object":    {append(offline, "a/none"), 5, []string{"there is no a/none"}},
		"nothing opens":     {append(offline, "a/hopeless", "-restore="+there+"2"), 5, []string{"nothing can be restored"}},
		"a file is there":   {append(offline, "-restore="+there), 6, []string{"is there already"}},
		"no configuration":  {[]string{"-snapshot=" + from, "-file=" + config + "x"}, 5, []string{"there is no EncryptionConfiguration"}},
		"no old one":        {append(offline, "-old-file="+config+"x"), 5, []string{"there is no EncryptionConfiguration"}},
		"no backup":         {append(offline, "-backup="+from+"x"), 5, []string{"there is no snapshot"}},
		"delete offline":    {append(offline, "-delete"), 2, []string{"a snapshot does not tell what is there now"}},
		"confirm alone":     {append(offline, "-confirm=2"), 2, []string{"-confirm is asked with -delete only"}},
		"no copy":           {[]string{"-etcd=https://127.0.0.1:1", "-delete", "-confirm=2-00000000"}, 2, []string{"-copy=FILE"}},
		"restore by names":  {[]string{"-restore=x"}, 2, []string{"an API server tells names only"}},
		"both at once":      {[]string{"-etcd=https://127.0.0.1:1", "-delete", "-restore=-"}, 2, []string{"first restore, then delete"}},
		"no API server":     {[]string{"-etcd=https://127.0.0.1:1", "-delete"}, 2, []string{"no cluster is named"}},
		"wildcards":         {append(offline, "-resource=*.*"), 2, []string{"wildcards are not taken"}},
		"etcd and snapshot": {append(offline, "-etcd=x"), 2, []string{"one of them is read"}},
	} {
		code, stdout, stderr := run(t, append([]string{"encryption", "rescue"}, c.args...)...)
		for _, want := range c.want {
			if code != c.code || !strings.Contains(stdout+stderr, want) {
				t.Errorf("%s: exit code %d, want %d and %q in:\n%s%s", name, code, c.code, want, stdout, stderr)
			}
		}
		if strings.Contains(stdout+stderr, canary) || strings.Contains(stdout+stderr, base64.StdEncoding.EncodeToString([]byte(canary))) {
			t.Errorf("%s: it tells a value", name)
		}
	}
	if text, err := os.ReadFile(there); err != nil || string(text) != "mine" {
		t.Error("a file that was there is another now", err)
	}
	if _, err := os.Stat(there + "2"); err == nil {
		t.Error("a file was written with nothing in it")
	}
}

// What is restored goes to a file of its owner's, or a pipe; to a terminal when that is
// said only.
func TestRestoreGoesNowhereElse(t *testing.T) {
	from, config := lost(t)
	args := []string{"encryption", "rescue", "-snapshot=" + from, "-file=" + config, "a/lost"}
	value := "password: " + base64.StdEncoding.EncodeToString([]byte(canary))
	path := filepath.Join(t.TempDir(), "restored.yaml")
	code, stdout, stderr := run(t, append(args, "-restore="+path)...)
	text, err := os.ReadFile(path)
	if err != nil || code != 10 || !bytes.Contains(text, []byte(value)) || strings.Contains(stdout+stderr, value) {
		t.Errorf("exit code %d, %v:\n%s", code, err, stderr)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if code, stdout, stderr = run(t, append(args, "-restore=-")...); code != 10 || !strings.Contains(stdout, value) || strings.Contains(stderr, value) || strings.Contains(stdout, "OBJECT") {
		t.Errorf("to a pipe: exit code %d:\n%s", code, stderr)
	}
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("SKIPPED: there is no terminal to be had:", err)
	}
	defer func() { _ = terminal.Close() }()
	for show, want := range map[string]int{"-show=false": 2, "-show": 10} {
		var errors bytes.Buffer
		env := session.Env{Context: t.Context(), Stdin: strings.NewReader(""), Stdout: terminal, Stderr: &errors, Getenv: func(string) string { return "" }, Home: t.TempDir()}
		if code := cli.Main(append(args, "-restore=-", show), env); code != want || strings.Contains(errors.String(), value) {
			t.Errorf("%s on a terminal: exit code %d:\n%s", show, code, &errors)
		}
	}
}
