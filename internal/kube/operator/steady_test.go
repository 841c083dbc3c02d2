package operator

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/operatortest/permits"
)

// writesOf are the requests that change something.
var writesOf = []string{
	"create /secrets", "patch /secrets", "update /secrets", "delete /secrets", "patch external-secrets.io/externalsecrets",
	"patch external-secrets.io/externalsecrets/status", "update external-secrets.io/externalsecrets/status",
	"patch external-secrets.io/secretstores/status", "create events.k8s.io/events", "patch events.k8s.io/events",
}

func countWrites(rec *permits.Recording) string {
	out := ""
	for _, what := range writesOf {
		out += fmt.Sprintf("%d × %s\n", rec.Count(what), what)
	}
	return out
}

// many makes n ExternalSecrets that want one value, each second.
func (w *world) many(n int) {
	w.Helper()
	err := inParallel(n, func(i int) error {
		return testClient.Create(w.Context(), &v1.ExternalSecret{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: fmt.Sprintf("many-%d", i)},
			Spec: v1.ExternalSecretSpec{
				SecretStoreRef: v1.SecretStoreRef{Name: "vault"}, RefreshInterval: &metav1.Duration{Duration: time.Second},
				Data: []v1.ExternalSecretData{{SecretKey: "k", RemoteRef: v1.RemoteRef{Key: "app", Property: "k"}}},
			},
		})
	})
	if err != nil {
		w.Fatal(err)
	}
	for i := range n {
		w.es(fmt.Sprintf("many-%d", i), v1.ReasonSecretSynced, "")
	}
}

// What does not change is read once in an interval for all who want it, and nothing
// is written: neither Secrets nor statuses. So it is after a restart, too.
func TestSteadyState(t *testing.T) {
	const objects, intervals = 40, 4
	w := newWorld(t)
	ready(w)
	w.vault.NoEvents = true // only time says that there may be something new
	for _, when := range []string{"at first", "after a restart"} {
		rec := permits.New()
		stop := w.start(func(c *Config) { c.REST = rec.Wrap(testREST) })
		w.storeReady("vault", v1.ReasonStoreValid, "")
		if when == "at first" {
			w.many(objects)
		}
		refreshed := func(before int) func() bool {
			return func() bool { return w.syncs() >= before+intervals*objects }
		}
		w.until("everything is refreshed "+when, refreshed(0)) // and what the start wrote is written
		writes, reads, syncs, began := countWrites(rec), w.vault.Count("secret/data/app"), w.syncs(), time.Now()
		w.until("everything is refreshed again "+when, refreshed(syncs))
		took := time.Since(began)
		syncs, reads = w.syncs()-syncs, w.vault.Count("secret/data/app")-reads
		if got := countWrites(rec); got != writes {
			t.Errorf("%s, while nothing changed, there was written:\n%safter:\n%s", when, got, writes)
		}
		if got := rec.Count("patch /secrets"); when != "at first" && got != 0 {
			t.Errorf("%s %d Secrets are written that are as they were", when, got)
		}
		// What was read is shared for half a second: on a slow machine there are more of these.
		if most := max(syncs/10, 2+int(took/(500*time.Millisecond))); reads > min(most, syncs/2) {
			t.Errorf("%s %d refreshes of %d objects that want the same took %d reads in %v", when, syncs, objects, reads, took)
		}
		stop()
	}
}

// syncs is how many refreshes there were since the operator started, by its metrics.
func (w *world) syncs() (n int) {
	w.Helper()
	answer, err := http.Get("http://" + w.at.Metrics + "/metrics")
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "externalsecret_sync_calls_total{"); ok {
			var one int
			if _, err := fmt.Sscan(rest[strings.LastIndex(rest, " ")+1:], &one); err != nil {
				w.Fatal(err)
			}
			n += one
		}
	}
	return n
}
