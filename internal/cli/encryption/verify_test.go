package encryption_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
)

// run runs a command line.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = cli.Main(args, session.Env{Context: t.Context(), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &err, Getenv: func(string) string { return "" }, Home: t.TempDir()})
	return code, out.String(), err.String()
}

// snapshot writes one with values, each a revision.
func snapshot(t *testing.T, values ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "etcd.db")
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte("key"))
		for i := 0; i < len(values) && err == nil; i += 2 {
			revision := binary.BigEndian.AppendUint64(nil, uint64(i+2))
			revision = append(append(revision, '_'), make([]byte, 8)...)
			raw, bad := proto.Marshal(&mvccpb.KeyValue{Key: []byte(values[i]), Value: []byte(values[i+1])})
			if bad != nil {
				return bad
			}
			err = b.Put(revision, raw)
		}
		return err
	})
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

const canary = "canary-value-55d1"

func TestVerify(t *testing.T) {
	clear := snapshot(t, "/registry/secrets/a/one", "k8s:enc:aescbc:v1:key1:"+canary, "/registry/secrets/a/two", "k8s\x00"+canary)
	clean := snapshot(t, "/registry/secrets/a/one", "k8s:enc:aescbc:v1:key1:"+canary)
	eks := filepath.Join(t.TempDir(), "eks.json")
	if err := os.WriteFile(eks, []byte(`{"cluster": {"name": "prod", "encryptionConfig": [{"resources": ["secrets"], "provider": {"keyArn": "arn:aws:kms:eu-central-1:1:key/a"}}]}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		want []string // in what is written
	}{
		"clean":          {[]string{"-snapshot=" + clean}, 0, []string{"yes            is every value encrypted?", "not checked    is every value under the key?", "secrets     1         aescbc/key1    -"}},
		"clear":          {[]string{"-snapshot=" + clear}, 10, []string{"of 2 values 1 are in the clear", "secrets     a/two     in the clear    clear"}},
		"provider":       {[]string{"-snapshot=" + clean, "-provider=strongkeep"}, 10, []string{"not under kms-v2/strongkeep", "under another provider"}},
		"nothing":        {[]string{"-snapshot=" + clean, "-resource=secrets,configmaps"}, 10, []string{"etcd has no value of configmaps"}},
		"few":            {[]string{"-snapshot=" + clear, "-most=1", "-provider=x"}, 10, []string{"and 1 more: -most=2 names all"}},
		"json":           {[]string{"-snapshot=" + clear, "-o", "json"}, 10, []string{`"provider": "clear"`, `"found": 1`}},
		"field":          {[]string{"-snapshot=" + clear, "-field=found"}, 10, []string{"1"}},
		"nowhere":        {nil, 2, []string{"say where the values are"}},
		"both":           {[]string{"-snapshot=x", "-etcd=y"}, 2, []string{"one of them is read"}},
		"no file":        {[]string{"-snapshot=" + clean + "x"}, 5, []string{"there is no snapshot"}},
		"half":           {[]string{"-etcd=https://127.0.0.1:1", "-etcd-cert=x"}, 2, []string{"give both or none"}},
		"a cloud":        {[]string{"-eks-cluster=" + eks}, 10, []string{"not checked    is every value encrypted?", "yes            does the cloud say", "of cluster prod"}},
		"two clouds":     {[]string{"-eks-cluster=" + eks, "-gke-cluster=" + eks}, 2, []string{"is of one cloud"}},
		"not its answer": {[]string{"-aks-cluster=" + eks}, 2, []string{"this is not what"}},
		"cloud and etcd": {[]string{"-eks-cluster=" + eks, "-snapshot=" + clean}, 2, []string{"judged by itself"}},
		"no answer":      {[]string{"-eks-cluster=" + eks + "x"}, 2, []string{"reading what the cloud says"}},
		"two kinds":      {[]string{"-snapshot=" + clean, "-by-metrics"}, 2, []string{"the weaker evidence"}},
		"a key id lost":  {[]string{"-snapshot=" + clean, "-key-id="}, 2, []string{"it is empty: what was to give it has failed"}},
		"wildcards":      {[]string{"-snapshot=" + clean, "-resource=*"}, 2, []string{"name each resource"}},
	} {
		code, stdout, stderr := run(t, append([]string{"encryption", "verify"}, c.args...)...)
		for _, want := range c.want {
			if code != c.code || !strings.Contains(stdout+stderr, want) {
				t.Errorf("%s: exit code %d, want %d and %q in:\n%s%s", name, code, c.code, want, stdout, stderr)
			}
		}
		if strings.Contains(stdout+stderr, canary) {
			t.Errorf("%s: it tells a value", name)
		}
	}
	if raw, err := os.ReadFile(clear); err != nil || !bytes.Contains(raw, []byte(canary)) {
		t.Error("the snapshots of this test have no value to be told", err)
	}
}

// What is taken away is proven by the running etcd, and by nothing else.
func TestFinalFlags(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	text := "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"the last step asks the running one": {"-final", "-snapshot=x"},
		"-etcd is asked with -final only":    {"-etcd=https://127.0.0.1:1"},
		"give both or none":                  {"-final", "-etcd=https://127.0.0.1:1", "-etcd-cert=x"},
	} {
		code, stdout, stderr := run(t, append([]string{"encryption", "configure", "-kubeconfig=" + kubeconfig, "-file=" + kubeconfig + "2"}, args...)...)
		if code != 2 || !strings.Contains(stdout+stderr, want) {
			t.Errorf("%v: exit code %d, want 2 and %q in:\n%s%s", args, code, want, stdout, stderr)
		}
	}
}
