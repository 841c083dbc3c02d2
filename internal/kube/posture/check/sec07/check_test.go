package sec07_test

import (
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/checktest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec07"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

const day = checktest.Day

// cert is a TLS Secret of 90 days, of which left are left.
func cert(left time.Duration, change ...func(*snapshot.Secret)) snapshot.Secret {
	s := snapshot.Secret{Meta: snapshot.Meta{Namespace: "shop", Name: "web"}, Type: "kubernetes.io/tls", Read: true, Keys: []string{"tls.crt", "tls.key"},
		Certificate: &snapshot.Certificate{Key: "tls.crt", DNSNames: []string{"a.example.com", "b.example.com"}, NotAfter: checktest.Now.Add(left), NotBefore: checktest.Now.Add(left - 90*day)}}
	for _, f := range change {
		f(&s)
	}
	return s
}

// issued is by cert-manager, for Certificate web.
func issued(s *snapshot.Secret) {
	s.Annotations = map[string]string{"cert-manager.io/certificate-name": "web"}
}

func with(s snapshot.Secret, sources ...snapshot.Source) snapshot.Snapshot {
	return snapshot.Snapshot{Live: true, Secrets: []snapshot.Secret{s}, Sources: sources, Coverage: snapshot.Coverage{"sources": {}}}
}

func TestCheck(t *testing.T) {
	web := snapshot.Source{Meta: snapshot.Meta{Namespace: "shop", Name: "web"}, Group: "cert-manager.io", Kind: "Certificate", Ready: "True", Makes: []snapshot.Ref{{Kind: "Secret", Namespace: "shop", Name: "web"}}}
	fails := web
	fails.Ready, fails.Reason = "False", "Failed"
	unseen := with(cert(60*day, issued))
	unseen.Coverage = snapshot.Coverage{"sources": {Reason: "no right"}}
	checktest.Run(t, sec07.Check(), []checktest.Case{
		{Name: "none", Answer: check.Yes},
		{Name: "cert-manager's", Answer: check.Yes, Snapshot: with(cert(60*day, issued), web)},
		{Name: "renewal is overdue", Answer: check.Partly, Snapshot: with(cert(10*day, issued), web), Findings: []string{"RenewalOverdue Secret shop/web"}},
		{Name: "renewal is due", Answer: check.Yes, Snapshot: with(cert(25*day, issued), web)},
		{Name: "expired", Answer: check.Partly, Snapshot: with(cert(-day, issued), web), Findings: []string{"Expired Secret shop/web"}},
		{Name: "not yet valid", Answer: check.Partly, Snapshot: with(cert(91*day, issued), web), Findings: []string{"NotYetValid Secret shop/web"}},
		{Name: "its Certificate fails", Answer: check.Partly, Snapshot: with(cert(60*day, issued), fails), Findings: []string{"NotIssued Certificate shop/web"}},
		{Name: "orphaned", Answer: check.No, Snapshot: with(cert(60*day, issued)), Findings: []string{"Orphaned Secret shop/web"}},
		{Name: "nobody looked at Certificates", Answer: check.Unknown, Snapshot: unseen, Needs: []string{"sources"}},
		{Name: "files need not have the Certificate", Answer: check.Yes, Snapshot: snapshot.Snapshot{Secrets: with(cert(60*day, issued)).Secrets}},
		{Name: "nobody's", Answer: check.No, Snapshot: with(cert(60 * day)), Findings: []string{"NotManaged Secret shop/web"}},
		{Name: "nobody's, and it ends", Answer: check.No, Snapshot: with(cert(20 * day)), Findings: []string{"EndsSoon Secret shop/web"}},
		{Name: "of a store", Answer: check.Yes, Snapshot: with(cert(60*day, func(s *snapshot.Secret) {
			s.Owners = []snapshot.Owner{{Ref: snapshot.Ref{Group: "external-secrets.io", Kind: "ExternalSecret", Namespace: "shop", Name: "web"}}}
		}), snapshot.Source{Meta: snapshot.Meta{Namespace: "shop", Name: "web"}, Group: "external-secrets.io", Kind: "ExternalSecret"})},
		{Name: "of a store, of which nothing is left", Answer: check.No, Snapshot: with(cert(60*day, func(s *snapshot.Secret) {
			s.Owners = []snapshot.Owner{{Ref: snapshot.Ref{Group: "external-secrets.io", Kind: "ExternalSecret", Namespace: "shop", Name: "web"}}}
		})), Findings: []string{"NotManaged Secret shop/web"}},
		{Name: "an operator's own", Answer: check.Yes, Snapshot: with(cert(60*day, func(s *snapshot.Secret) {
			s.Writers = []snapshot.Writer{{Manager: "kyverno", Content: true}}
		}))},
		{Name: "a CA to verify by is none", Answer: check.Yes, Snapshot: with(cert(-day, func(s *snapshot.Secret) { s.Type, s.Keys, s.Certificate.Key = "Opaque", []string{"ca.crt"}, "ca.crt" }))},
		{Name: "in an Opaque Secret", Answer: check.No, Snapshot: with(cert(60*day, func(s *snapshot.Secret) { s.Type = "Opaque" })), Findings: []string{"NotManaged Secret shop/web"}},
		{Name: "under other keys", Answer: check.No, Snapshot: with(cert(60*day, func(s *snapshot.Secret) {
			s.Type, s.Keys, s.Certificate.Key = "Opaque", []string{"server.crt", "server.key"}, "server.crt"
		})), Findings: []string{"NotManaged Secret shop/web"}},
		{Name: "a CA beside a key of something else", Answer: check.Yes, Snapshot: with(cert(60*day, func(s *snapshot.Secret) {
			s.Type, s.Keys, s.Certificate.Key = "Opaque", []string{"ca.crt", "id_rsa"}, "ca.crt"
			s.Values = []snapshot.Value{{Field: "data.id_rsa", Looks: snapshot.LooksPrivateKey}}
		}))},
		{Name: "only its name was read", Answer: check.Unknown, Snapshot: with(cert(0, func(s *snapshot.Secret) { s.Certificate, s.Read = nil, false })), Needs: []string{"get on secrets"}},
	})
}

// TestThePatchIsYAML, with every name of the certificate.
func TestThePatchIsYAML(t *testing.T) {
	s := with(cert(60 * day))
	r := checktest.Judge(sec07.Check(), &s, check.Settings{})
	var out struct {
		Spec struct {
			DNSNames   []string `json:"dnsNames"`
			SecretName string   `json:"secretName"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal([]byte(r.Findings[0].Fix.Patch), &out); err != nil || len(out.Spec.DNSNames) != 2 || out.Spec.SecretName != "web" {
		t.Errorf("%v: %+v", err, out)
	}
}
