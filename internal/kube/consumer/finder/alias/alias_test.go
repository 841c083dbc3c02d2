package alias

import (
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
)

func TestAlias(t *testing.T) {
	const wanted = "vault.svc:8200/team/secret/data/x"
	named := New(wanted, consumer.Cluster{Servers: []string{"https://vault.far", "https://far/behind/", "no address"}})
	for location, want := range map[string]string{
		"vault.far:443/team/secret/data/x":  wanted,
		"far:443/behind/team/secret/data/x": wanted,
		"far:443/team/secret/data/x":        "far:443/team/secret/data/x",
		"vault.far:4433/a":                  "vault.far:4433/a",
		wanted:                              wanted,
		"":                                  "",
	} {
		if got := named.Of(location); got != want || named.Doubt(location) != "" {
			t.Errorf("%q is %q, want %q; doubt %q", location, got, want, named.Doubt(location))
		}
	}
	unnamed := New(wanted, consumer.Cluster{})
	if unnamed.Doubt("else:1/team/secret/data/x") != "else:1" || unnamed.Doubt(wanted) != "" || unnamed.Doubt("else:1/team/secret/data/y") != "" || unnamed.Doubt("else") != "" {
		t.Error("the same path at another host, and nothing else, is a doubt")
	}
	var own *Alias
	if own.Of("x") != "x" || own.Doubt("x") != "" || !own.Named() || unnamed.Named() {
		t.Error("our own cluster has no other names")
	}
}
