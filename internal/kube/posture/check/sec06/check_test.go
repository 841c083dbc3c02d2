package sec06_test

import (
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/checktest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec06"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

const day = checktest.Day

// secret is one whose content is of age; 0 is not known.
func secret(age time.Duration, writer string) snapshot.Secret {
	s := snapshot.Secret{Meta: snapshot.Meta{Namespace: "shop", Name: "db"}, Type: "Opaque", Read: true, Keys: []string{"password"},
		Values: []snapshot.Value{{Field: "data.password", Size: 12, Looks: snapshot.LooksNamed}}}
	if writer != "" {
		s.Writers = []snapshot.Writer{{Manager: writer, Content: true}}
	}
	if age > 0 {
		s.Changed = checktest.Ago(age)
	}
	return s
}

var db = snapshot.Ref{Kind: "Secret", Namespace: "shop", Name: "db"}

func source(group, kind string, change func(*snapshot.Source)) snapshot.Source {
	s := snapshot.Source{Meta: snapshot.Meta{Namespace: "shop", Name: "db"}, Group: group, Kind: kind, Makes: []snapshot.Ref{db}, Interval: time.Hour, Ready: "True"}
	if change != nil {
		change(&s)
	}
	return s
}

func with(s snapshot.Secret, sources ...snapshot.Source) snapshot.Snapshot {
	return snapshot.Snapshot{Secrets: []snapshot.Secret{s}, Sources: sources}
}

// used is s with a Deployment that has the Secret as kind.
func used(s snapshot.Snapshot, kind consumer.UseKind, annotations map[string]string) snapshot.Snapshot {
	s.Workloads = []snapshot.Workload{{Meta: snapshot.Meta{Namespace: "shop", Name: "web", Annotations: annotations}, Group: "apps", Kind: "Deployment",
		Template: snapshot.Template{Account: "default", Containers: []snapshot.Container{{Name: "web"}}, Secrets: []consumer.Use{{Kind: kind, Secret: "db", Container: "web", Where: "X"}}}}}
	return s
}

func live(s snapshot.Snapshot) snapshot.Snapshot {
	s.Live = true
	return s
}

// beside is s with a certificate in cert, and more keys.
func beside(s snapshot.Secret, cert string, more ...string) snapshot.Secret {
	s.Certificate = &snapshot.Certificate{Key: cert}
	s.Keys = append(s.Keys, more...)
	for _, k := range more {
		v := snapshot.Value{Field: "data." + k, Size: 900}
		switch k {
		case cert:
			v.Looks = snapshot.LooksCert
		case "tls.key", "server.key":
			v.Looks = snapshot.LooksPrivateKey
		}
		s.Values = append(s.Values, v)
	}
	return s
}

// pair is s with a certificate, its key, and nothing else.
func pair(s snapshot.Secret) snapshot.Secret {
	s.Keys, s.Values = nil, nil
	return beside(s, "server.crt", "server.crt", "server.key")
}

func TestCheck(t *testing.T) {
	const eso = "external-secrets.io"
	rotation := func(change func(*snapshot.Source)) snapshot.Source {
		return source("strongkeep.io", "Rotation", func(s *snapshot.Source) {
			s.Makes, s.Reads, s.Rotates, s.Interval, s.Synced = nil, []snapshot.Ref{db}, 30*day, 0, checktest.Ago(day)
			if change != nil {
				change(s)
			}
		})
	}
	generated := source(eso, "ExternalSecret", func(s *snapshot.Source) { s.Generator = true })
	copied := func(from snapshot.Snapshot) snapshot.Snapshot {
		s := secret(200*day, "Reflector")
		s.Name, s.Annotations = "copy", map[string]string{"reflector.v1.k8s.emberstack.com/reflects": "shop/db"}
		from.Secrets = append(from.Secrets, s)
		return from
	}
	checktest.Run(t, sec06.Check(), []checktest.Case{
		{Name: "a copy of what is rotated", Answer: check.Yes, Snapshot: copied(with(secret(200*day, "strongkeep"), rotation(nil)))},
		{Name: "a copy of what is not", Answer: check.No, Snapshot: copied(with(secret(200*day, "kubectl-create"))), Findings: []string{"OldCredential Secret shop/db", "OldCredential Secret shop/copy"}},
		{Name: "nothing", Answer: check.Yes},
		{Name: "old, by hand", Answer: check.No, Snapshot: with(secret(200*day, "kubectl-create")), Findings: []string{"OldCredential Secret shop/db"}},
		{Name: "young, by hand", Answer: check.Partly, Snapshot: with(secret(20*day, "kubectl-create")), Findings: []string{"NothingRotates Secret shop/db"}},
		{Name: "as old as may be said", Answer: check.Partly, Settings: check.Settings{MaxAge: 300 * day}, Snapshot: with(secret(200*day, "kubectl-create")), Findings: []string{"NothingRotates Secret shop/db"}},
		{Name: "of unknown age", Answer: check.Unknown, Snapshot: with(secret(0, "kubectl-create")), Needs: []string{"managedFields"}},
		{Name: "old in its store", Answer: check.No, Snapshot: with(secret(200*day, "external-secrets"), source(eso, "ExternalSecret", nil)), Findings: []string{"OldInStore Secret shop/db"}},
		{Name: "a Rotation that reads it", Answer: check.Yes, Snapshot: with(secret(200*day, "strongkeep"), source(eso, "ExternalSecret", nil), rotation(nil))},
		{Name: "a Rotation of its place in the store", Answer: check.Yes, Snapshot: with(secret(200*day, "strongkeep"),
			source(eso, "ExternalSecret", func(s *snapshot.Source) { s.Remote = []snapshot.Remote{{Path: "shop/db"}} }),
			rotation(func(s *snapshot.Source) { s.Name, s.Reads, s.Remote = "r", nil, []snapshot.Remote{{Path: "shop/db"}} }))},
		{Name: "a Rotation of another place", Answer: check.No, Snapshot: with(secret(200*day, "strongkeep"),
			source(eso, "ExternalSecret", func(s *snapshot.Source) { s.Remote = []snapshot.Remote{{Path: "shop/db"}} }),
			rotation(func(s *snapshot.Source) { s.Name, s.Reads, s.Remote = "r", nil, []snapshot.Remote{{Path: "shop/db2"}} })), Findings: []string{"OldInStore Secret shop/db"}},
		{Name: "a Rotation that fails", Answer: check.Partly, Snapshot: with(secret(day, "strongkeep"), rotation(func(s *snapshot.Source) { s.Ready, s.Reason = "False", "Denied" })), Findings: []string{"RotationFails Rotation shop/db"}},
		{Name: "a Rotation that is overdue", Answer: check.Partly, Snapshot: with(secret(day, "strongkeep"), rotation(func(s *snapshot.Source) { s.Synced = checktest.Ago(40 * day) })), Findings: []string{"RotationOverdue Rotation shop/db"}},
		{Name: "a Rotation that never turned", Answer: check.No, Snapshot: live(with(secret(200*day, "strongkeep"), rotation(func(s *snapshot.Source) { s.Synced, s.Ready = time.Time{}, "" }))), Findings: []string{"NeverTurned Rotation shop/db"}},
		{Name: "a new Rotation is no proof yet", Answer: check.No, Snapshot: live(with(secret(200*day, "strongkeep"), rotation(func(s *snapshot.Source) { s.Synced, s.Created = time.Time{}, checktest.Ago(day) }))), Findings: []string{"NeverTurned Rotation shop/db"}},
		{Name: "a Rotation in a manifest", Answer: check.Unknown, Needs: []string{"the status of 1 Rotation"}, Snapshot: with(secret(200*day, "strongkeep"), rotation(func(s *snapshot.Source) { s.Synced, s.Ready = time.Time{}, "" }))},
		{Name: "a Rotation on demand, long ago", Answer: check.Partly, Snapshot: with(secret(day, "strongkeep"), rotation(func(s *snapshot.Source) { s.Rotates, s.Synced = 0, checktest.Ago(120*day) })), Findings: []string{"RotationOverdue Rotation shop/db"}},
		{Name: "a Rotation that reminds people", Answer: check.No, Snapshot: with(secret(200*day, "kubectl-create"), rotation(func(s *snapshot.Source) { s.Manual = true })), Findings: []string{"OldCredential Secret shop/db"}},
		{Name: "people did what a Rotation asked for", Answer: check.Partly, Snapshot: with(secret(day, "kubectl-create"), rotation(func(s *snapshot.Source) { s.Manual = true })), Findings: []string{"NothingRotates Secret shop/db"}},
		{Name: "credentials beside a CA", Answer: check.No, Snapshot: with(beside(secret(3*365*day, "operator-by-hand"), "ca.crt", "ca.crt", "username")), Findings: []string{"OldCredential Secret shop/db"}},
		{Name: "credentials beside a certificate with its key", Answer: check.No, Snapshot: with(beside(secret(3*365*day, "kubectl-create"), "tls.crt", "tls.crt", "tls.key")), Findings: []string{"OldCredential Secret shop/db"}},
		{Name: "only a certificate with its key", Answer: check.Yes, Snapshot: with(pair(secret(3*365*day, "kubectl-create")))},
		{Name: "generated", Answer: check.Yes, Snapshot: with(secret(200*day, "strongkeep"), generated)},
		{Name: "HashiCorp's leases", Answer: check.Yes, Snapshot: with(secret(0, ""), source("secrets.hashicorp.com", "VaultDynamicSecret", nil))},
		{Name: "never refreshed", Answer: check.Partly, Snapshot: with(secret(day, "strongkeep"), source(eso, "ExternalSecret", func(s *snapshot.Source) { s.Interval = 0 })),
			Findings: []string{"NothingRotates Secret shop/db", "NeverRefreshed ExternalSecret shop/db at spec.refreshInterval"}},
		{Name: "not synced", Answer: check.Partly, Snapshot: with(secret(day, "strongkeep"), source(eso, "ExternalSecret", func(s *snapshot.Source) { s.Ready = "False" })),
			Findings: []string{"NothingRotates Secret shop/db", "NotSynced ExternalSecret shop/db"}},
		{Name: "in the environment of who does not reload", Answer: check.Partly, Snapshot: used(with(secret(day, "strongkeep"), generated), consumer.UseEnv, nil),
			Findings: []string{"DoesNotReload Deployment shop/web at spec.template.spec.containers[web].env[db]"}},
		{Name: "subPath", Answer: check.Partly, Snapshot: used(with(secret(day, "strongkeep"), generated), consumer.UseSubPath, nil),
			Findings: []string{"DoesNotReload Deployment shop/web at spec.template.spec.containers[web].subPath[db]"}},
		{Name: "files follow", Answer: check.Yes, Snapshot: used(with(secret(day, "strongkeep"), generated), consumer.UseVolume, nil)},
		{Name: "who restarts", Answer: check.Yes, Snapshot: used(with(secret(day, "strongkeep"), generated), consumer.UseEnv, map[string]string{"strongkeep.io/reload": "restart"})},
		{Name: "whom Reloader restarts", Answer: check.Yes, Snapshot: used(with(secret(day, "strongkeep"), generated), consumer.UseEnv, map[string]string{"secret.reloader.stakater.com/reload": "a, db"})},
		{Name: "whom Reloader restarts for another", Answer: check.Partly, Snapshot: used(with(secret(day, "strongkeep"), generated), consumer.UseEnv, map[string]string{"secret.reloader.stakater.com/reload": "db2"}),
			Findings: []string{"DoesNotReload Deployment shop/web at spec.template.spec.containers[web].env[db]"}},
		{Name: "a Rotation restarts", Answer: check.Yes, Snapshot: used(with(secret(day, "strongkeep"), rotation(nil)), consumer.UseEnv, nil)},
	})
}

// TestThePatchIsARotation: what is proposed has no field that a Rotation has not.
func TestThePatchIsARotation(t *testing.T) {
	s := with(secret(200*day, "kubectl-create"))
	s.Coverage = snapshot.Coverage{}
	r := checktest.Judge(sec06.Check(), &s, check.Settings{})
	var out v1alpha1.Rotation
	if err := yaml.UnmarshalStrict([]byte(r.Findings[0].Fix.Patch), &out); err != nil || out.Spec.Target.Manual == nil || !strings.HasPrefix(out.Spec.Target.Manual.Path, "shop/") {
		t.Errorf("%v: %+v", err, out.Spec)
	}
}
