package diagnose

import "testing"

// What a server's metrics say of its cluster is judged, and nothing where it has none.
func TestQuota(t *testing.T) {
	for name, c := range map[string]struct {
		full, leader, size float64
		want               Level
	}{
		"room": {0, 1, 7, OK}, "near": {0, 1, 8, Warning}, "full": {1, 1, 10, Failed}, "alone": {0, 0, 1, Failed},
	} {
		v := &visit{}
		v.quota(map[string]float64{
			"strongkeep_cluster_quota_bytes": 10 << 30, "strongkeep_cluster_size_bytes": c.size * (1 << 30), "strongkeep_cluster_full": c.full, "strongkeep_cluster_has_leader": c.leader,
		})
		if len(v.found) != 1 || v.found[0].Level != c.want {
			t.Errorf("%s: %+v", name, v.found)
		}
	}
	v := &visit{}
	if v.quota(map[string]float64{}); len(v.found) != 0 {
		t.Errorf("%+v", v.found)
	}
}
