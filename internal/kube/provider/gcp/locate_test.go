package gcp_test

import (
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp"
)

// A place is told by project and location, whatever store leads there.
func TestPlaces(t *testing.T) {
	w := newWorld(t)
	w.server.Metadata()
	const db = "secretmanager.googleapis.com/projects/my-project/secrets/shop-db"
	by := func(change func(*gcp.Settings)) gcp.Settings {
		s := settings(nil)
		change(&s)
		return s
	}
	for name, c := range map[string]struct {
		settings  gcp.Settings
		key, want string
	}{
		"workload identity":      {by(func(*gcp.Settings) {}), "shop-db", db},
		"a key":                  {by(func(s *gcp.Settings) { s.Auth = byKey() }), "shop-db", db},
		"the cluster's project":  {by(func(s *gcp.Settings) { s.ProjectID = "" }), "shop-db", db},
		"a location":             {by(func(s *gcp.Settings) { s.Location = "europe-west3" }), "shop-db", "secretmanager.googleapis.com/projects/my-project/locations/europe-west3/secrets/shop-db"},
		"another project":        {by(func(s *gcp.Settings) { s.ProjectID = "other" }), "shop-db", "secretmanager.googleapis.com/projects/other/secrets/shop-db"},
		"what only a node tells": {by(func(s *gcp.Settings) { s.ProjectID = ""; s.Auth.WorkloadIdentity.ClusterProjectID = "" }), "shop-db", ""},
		"no key":                 {by(func(*gcp.Settings) {}), "", ""},
		"a path":                 {by(func(*gcp.Settings) {}), "../other/secrets/x", ""},
	} {
		if got := w.Open(c.settings).(provider.Locator).LocateKey(c.key); got != c.want {
			t.Errorf("%s: at %q, want %q", name, got, c.want)
		}
	}
}
