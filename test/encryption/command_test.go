package encryption_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/test/encryption/page"
)

// command runs "strongkeep encryption" with the cluster's kubeconfig.
func command(t *testing.T, code int, args ...string) string {
	t.Helper()
	return strongkeep(t, code, append([]string{"encryption"}, args...)...)
}

func strongkeep(t *testing.T, code int, args ...string) string {
	t.Helper()
	var out, err bytes.Buffer
	got := cli.Main(args, session.Env{
		Context: t.Context(), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &err, Home: t.TempDir(),
		Getenv: func(name string) string {
			if name == "KUBECONFIG" {
				return env.server.Kubeconfig()
			}
			return ""
		},
	})
	if got != code || strings.Contains(out.String()+err.String(), canary) {
		t.Errorf("%s: exit code %d, want %d:\n%s%s", strings.Join(args[:2], " "), got, code, out.String(), err.String())
	}
	return out.String()
}

// From Secrets in the clear to a proof that there are none, under the plugin's key: by
// ourselves, and by Kubernetes' own migration, which waits for a cache for up to two minutes.
func TestRewriteAndVerify(t *testing.T) {
	for by, row := range map[string]string{"ourselves": "rewritten ", "auto": "left to a StorageVersionMigration "} {
		t.Run(by, func(t *testing.T) { rewriteAndVerify(t, by, row) })
	}
}

// rewriteAndVerify wants a row of what the command says to count them all.
func rewriteAndVerify(t *testing.T, by, row string) {
	etcd := etcd(t)
	value := base64.StdEncoding.EncodeToString([]byte(canary))
	for i := range 120 { // as an API server without encryption has them
		object := fmt.Sprintf(`{"kind":"Secret","apiVersion":"v1","metadata":{"name":"clear-%d","namespace":"default","uid":"00000000-0000-4000-8000-%012d","creationTimestamp":"2026-01-01T00:00:00Z"},"data":{"password":%q},"type":"Opaque"}`, i, i, value)
		if _, err := etcd.Put(t.Context(), fmt.Sprintf("/registry/secrets/default/clear-%d", i), object); err != nil {
			t.Fatal(err)
		}
	}
	verify := page.Command(t, "encryption verify -etcd=", append(onPage(), page.KeyID, keyID(t, env.one))...)
	if said := strongkeep(t, 10, verify...); !strings.Contains(said, "default/clear-0") || !strings.Contains(said, "120 are in the clear") {
		t.Errorf("before:\n%s", said)
	}
	byMetrics := page.Command(t, "encryption verify -by-metrics", "https://10.0.0.1:6443", env.server.URL(), page.KeyID, keyID(t, env.one))
	if said := strongkeep(t, 10, byMetrics...); !strings.Contains(said, "weaker evidence than etcd") || !strings.Contains(said, "the API server read values in the clear") {
		t.Errorf("before, by metrics:\n%s", said)
	}
	said := strongkeep(t, 0, append(page.Command(t, "encryption rewrite"), "-page=50", "-by="+by)...)
	if n := counted(said, row); n < 120 || counted(said, "refused ") != 0 {
		t.Errorf("rewritten:\n%s", said)
	}
	list, err := env.client.StoragemigrationV1beta1().StorageVersionMigrations().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 0 {
		t.Errorf("migrations that are left: %v, %v", list, err)
	}
	if said := strongkeep(t, 0, verify...); strings.Count(said, "yes ") != 3 {
		t.Errorf("after:\n%s", said)
	}
	if said := strongkeep(t, 0, byMetrics...); strings.Count(said, "yes ") != 3 {
		t.Errorf("after, by metrics:\n%s", said)
	}
	reads(t, env.client, "clear-7")
	for i := range 120 {
		if err := env.client.CoreV1().Secrets("default").Delete(t.Context(), fmt.Sprintf("clear-%d", i), metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// counted is the number at the end of a row, -1 if there is none.
func counted(table, row string) int {
	for line := range strings.Lines(table) {
		if fields := strings.Fields(line); strings.HasPrefix(line, row) {
			if n, err := strconv.Atoi(fields[len(fields)-1]); err == nil {
				return n
			}
		}
	}
	return -1
}
