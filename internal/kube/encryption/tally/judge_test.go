package tally

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/encryption/meter"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

const kms = "k8s:enc:kms:v2:strongkeep:"

// told is what an API server tells when it has read n values of each prefix.
func told(n map[string]float64, keys map[string]float64) meter.Reading {
	r := meter.Reading{ID: "one", Started: 7, Hash: "h", Operations: map[meter.Operation]float64{}, Used: map[meter.Use]float64{}}
	for prefix, n := range n {
		r.Operations[meter.Operation{Resource: "secrets", Type: meter.FromStorage, Prefix: prefix}] = n
		r.Operations[meter.Operation{Resource: "configmaps", Type: meter.FromStorage, Prefix: "identity"}] = n * n
		r.Operations[meter.Operation{Resource: "secrets", Type: meter.ToStorage, Prefix: "identity"}] = n * n
	}
	for id, n := range keys {
		r.Used[meter.Use{Type: meter.FromStorage, Provider: "strongkeep", KeyHash: meter.HashOf(id)}] = n
		r.Used[meter.Use{Type: meter.FromStorage, Provider: "another", KeyHash: meter.HashOf("x")}] = n * n
	}
	return r
}

// Never yes for what was not counted, whatever others do meanwhile.
func TestJudge(t *testing.T) {
	before := told(map[string]float64{kms: 10, "identity": 5}, map[string]float64{"k1": 3, "k2": 10})
	good := func() meter.Reading {
		return told(map[string]float64{kms: 14, "identity": 5}, map[string]float64{"k1": 3, "k2": 14})
	}
	with := func(change func(*meter.Reading)) meter.Reading { r := good(); change(&r); return r }
	for name, c := range map[string]struct {
		after  meter.Reading
		read   int
		broken []string
		want   string
	}{
		"all":              {good(), 4, nil, "yes, yes, yes"},
		"others read too":  {good(), 3, nil, "yes, yes, yes"},
		"in the clear":     {told(map[string]float64{kms: 14, "identity": 6}, map[string]float64{"k1": 3, "k2": 14}), 4, nil, "no, no, not checked"},
		"another provider": {told(map[string]float64{kms: 14, "identity": 5, "k8s:enc:aescbc:v1:": 1}, map[string]float64{"k1": 3, "k2": 14}), 4, nil, "yes, no, not checked"},
		"another key":      {told(map[string]float64{kms: 14, "identity": 5}, map[string]float64{"k1": 4, "k2": 13}), 4, nil, "yes, yes, not checked"},
		"fewer counted":    {good(), 5, nil, "not checked, not checked, not checked"},
		"keys not counted": {told(map[string]float64{kms: 14, "identity": 5}, map[string]float64{"k1": 3, "k2": 12}), 4, nil, "yes, yes, not checked"},
		"started anew":     {with(func(r *meter.Reading) { r.Started = 8 }), 4, nil, "not checked, not checked, not checked"},
		"another one":      {with(func(r *meter.Reading) { r.ID = "two" }), 4, nil, "not checked, not checked, not checked"},
		"another file":     {with(func(r *meter.Reading) { r.Hash = "i" }), 4, nil, "not checked, not checked, not checked"},
		"nothing":          {before, 0, nil, "not checked, not checked, not checked"},
		"unreadable":       {good(), 4, []string{"a/b"}, "no, no, not checked"},
	} {
		r := judge(&Config{Provider: "strongkeep", KeyID: "k2"}, "https://a", [2]meter.Reading{before, c.after}, []counted{{"secrets", "secrets", c.read, c.broken}})
		var got []string
		for _, a := range r.Answers {
			got = append(got, a.Answer)
		}
		if strings.Join(got, ", ") != c.want+", not checked" || r.Holds() != strings.HasPrefix(c.want, "yes, yes") || r.Found != len(c.broken) {
			t.Errorf("%s: %v, want %s: %+v", name, got, c.want, r.Answers)
		}
	}
	// What was not told is not checked, and keys of Kubernetes' own providers are not counted.
	for provider, want := range map[string]string{"": stored.NotChecked, "aescbc/one": stored.NotChecked} {
		r := judge(&Config{Provider: provider}, "https://a", [2]meter.Reading{before, good()}, []counted{{"secrets", "secrets", 4, nil}})
		if r.Answers[1].Answer != want || r.Answers[2].Answer != want {
			t.Errorf("%q: %+v", provider, r.Answers)
		}
	}
}

func TestUnder(t *testing.T) {
	for prefix, want := range map[string]string{kms: "kms-v2/strongkeep", "k8s:enc:kms:v1:old:": "kms-v1/old", "k8s:enc:aescbc:v1:": "aescbc", "identity": "clear"} {
		if got := under(prefix); got != want {
			t.Errorf("%s: %s", prefix, got)
		}
	}
}
