package evidence_test

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	. "github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
)

// Nobody asks nodes, endpoints and backends about pods of another cluster: what
// only they could show is said to be impossible, and is not waited for.
func TestJudgeAnotherCluster(t *testing.T) {
	away := func(in *Input) {
		in.Secrets[0].Cluster, in.Workloads[0].Cluster = "east", "east"
		in.Pods[0].Cluster, in.Pods[0].Workload.Cluster = "east", "east"
	}
	volume := uses(consumer.Use{Kind: consumer.UseVolume, Secret: "db", Container: "app", Where: "/etc/db"})
	for name, c := range map[string]struct {
		in    Input
		says  string // of why it is not proven; empty: it is
		never bool
	}{
		"restarted":               {input(stamp("secret/db=d7"), away), "", false},
		"not yet restarted":       {input(away), "waits for its restart", false},
		"of our key":              {input(stamp("secret/db=other"), away), "waits for its restart", false},
		"a file, nobody restarts": {input(volume, method(v1alpha1.RolloutNone), away), "nothing can show which version it uses", true},
		"File required":           {input(volume, stamp("secret/db=d7"), require(file), away), "nodes of other clusters are not asked", true},
		"Backend required":        {input(stamp("secret/db=d7"), require(backend), away), "say nothing here", true},
		"Application required":    {input(annotate(AnnotationPath, "/v"), require(application), away), "by the annotation " + AnnotationVersion, true},
		"it declares":             {input(annotate(AnnotationVersion, "7"), require(application), away), "has not said", false},
	} {
		j := Judge(c.in)
		if c.says == "" {
			if j.Proven != 1 {
				t.Errorf("%s: %+v", name, j)
			}
			continue
		}
		list := j.Missing
		if c.never {
			list = j.Never
		}
		if len(list) != 1 || !strings.HasPrefix(list[0], "east: shop/web-1: ") || !strings.Contains(list[0], c.says) {
			t.Errorf("%s: missing %q, never %q", name, j.Missing, j.Never)
		}
	}
}
