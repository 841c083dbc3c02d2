package sec01

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// counters are how many Secrets the API server that answered took from storage and
// put there, by the beginning of their values.
type counters struct {
	reads, writes map[string]float64
}

// clear is what counters call values without a prefix.
const clear = "identity"

func count(list []snapshot.Transformation) counters {
	c := counters{reads: map[string]float64{}, writes: map[string]float64{}}
	for _, t := range list {
		if t.Resource != "secrets" || t.Status != "" && t.Status != "OK" {
			continue
		}
		prefix := cmp.Or(t.Prefix, clear)
		switch t.Type {
		case "from_storage":
			c.reads[prefix] += t.Count
		case "to_storage":
			c.writes[prefix] += t.Count
		}
	}
	return c
}

// encrypted reports whether the API server writes Secrets encrypted. One that has
// written none since it started does if it reads them so and none in clear.
func (c counters) encrypted() bool {
	if len(c.writes) > 0 {
		return c.writes[clear] == 0 && ciphers(c.writes) > 0
	}
	return c.reads[clear] == 0 && ciphers(c.reads) > 0
}

// ciphers is how many values had the prefix of an encryption.
func ciphers(of map[string]float64) float64 {
	sum := 0.0
	for prefix, n := range of {
		if strings.HasPrefix(prefix, "k8s:enc:") {
			sum += n
		}
	}
	return sum
}

func (c counters) evidence() []check.Evidence {
	var out []check.Evidence
	for _, side := range []struct {
		name string
		of   map[string]float64
	}{{"read from storage", c.reads}, {"written to storage", c.writes}} {
		for _, prefix := range slices.Sorted(mapKeys(side.of)) {
			out = append(out, check.Evidence{
				Object: server, Field: "apiserver_storage_transformation_operations_total",
				Fact: fmt.Sprintf("%.0f Secrets were %s as %s since the API server that answered started", side.of[prefix], side.name, prefix),
			})
		}
	}
	return out
}

func mapKeys(of map[string]float64) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range of {
			if !yield(k) {
				return
			}
		}
	}
}

// rewritten judges whether what was stored before is encrypted too. Providers are
// those of secrets, nil if only counters are known.
func rewritten(in *check.Input, providers []snapshot.EncryptionProvider, evidence []check.Evidence, seen counters) check.Verdict {
	v := check.Verdict{Answer: check.Yes, Evidence: evidence}
	reads := slices.ContainsFunc(providers, func(p snapshot.EncryptionProvider) bool { return p.Kind == identity })
	switch since := began(in); {
	case len(providers) > 0 && !reads && in.Live && in.Control.Reloaded.IsZero() && in.Coverage.Whole("secrets"):
		v.Summary = fmt.Sprintf("Secrets are encrypted by %s; identity is no provider, so that a Secret in clear could not have been read, and all %d were", words(providers[:1]), len(in.Secrets))
	case migrated(in, since) != nil:
		m := migrated(in, since)
		v.Evidence = append(v.Evidence, check.Evidence{Object: snapshot.Ref{Group: "storagemigration.k8s.io", Kind: "StorageVersionMigration", Name: m.Name}, Fact: "it wrote every Secret again, and succeeded at " + m.Ended.UTC().Format(time.RFC3339)})
		v.Summary = "Secrets are encrypted, and a StorageVersionMigration has written all of them again since"
	case all(in, seen):
		v.Summary = fmt.Sprintf("Secrets are encrypted: of all that the API server has read from storage since it started, at least each of the %d once, none was in clear", len(in.Secrets))
		v.Evidence = append(v.Evidence, unless(len(providers) > 0, seen)...)
	default:
		return byTime(in, v, since, seen)
	}
	return v
}

// unless is the evidence of counters where it is not there yet.
func unless(add bool, seen counters) []check.Evidence {
	if !add {
		return nil
	}
	return seen.evidence()
}

// began is when encryption came into force, as far as it is known: what the user
// says, else the last time that the API server loaded its configuration. The latter
// may be later, so that more Secrets count as not rewritten than are.
func began(in *check.Input) time.Time {
	if e := in.Control.Encryption; e != nil && !e.Since.IsZero() {
		return e.Since
	}
	return in.Control.Reloaded
}

// migrated is a migration of Secrets that succeeded after since, which has to be known.
func migrated(in *check.Input, since time.Time) *snapshot.Migration {
	for i := range in.Control.Migrations {
		m := &in.Control.Migrations[i]
		if m.Resource == "secrets" && m.Succeeded && !since.IsZero() && m.Ended.After(since) {
			return m
		}
	}
	return nil
}

// all reports whether the counters say that every Secret was read and none in clear.
func all(in *check.Input, seen counters) bool {
	return seen.encrypted() && seen.reads[clear] == 0 && in.Coverage.Whole("secrets") && ciphers(seen.reads) >= float64(len(in.Secrets))
}

// byTime judges by when each Secret was last written.
func byTime(in *check.Input, v check.Verdict, since time.Time, seen counters) check.Verdict {
	v.Answer = check.Partly
	left := seen.reads[clear]
	if since.IsZero() {
		v.Summary = "New Secrets are encrypted. Whether those from before have been written again is not known"
		v.Needs = []string{"--encryption-since TIME: when encryption was switched on", "or a right to get /metrics of the API server", "or to list storageversionmigrations"}
		if left == 0 {
			v.Answer = check.Unknown
			return v
		}
		v.Findings = []check.Finding{leftover(left)}
		v.Summary = "New Secrets are encrypted, but the API server has read some in clear since it started"
		return v
	}
	old, total := stale(in, since), len(in.Secrets)
	v.Findings = append(v.Findings, old...)
	if left > 0 {
		v.Findings = append(v.Findings, leftover(left))
	}
	if missing := in.Coverage.Missing("secrets"); len(v.Findings) == 0 && len(missing) > 0 {
		v.Answer, v.Needs, v.Summary = check.Unknown, missing, "New Secrets are encrypted; not all Secrets were seen"
		return v
	}
	if len(v.Findings) == 0 {
		v.Answer = check.Yes
		v.Summary = fmt.Sprintf("Secrets are encrypted, and each of the %d has been written since that began at %s", total, since.UTC().Format(time.RFC3339))
		return v
	}
	n := 0
	for i := range old {
		n += old[i].Count
	}
	v.Summary = fmt.Sprintf("New Secrets are encrypted. Nothing says that %d of %d were written again since that began at %s", n, total, since.UTC().Format(time.RFC3339))
	return v
}

// leftover is the finding that clear text was read.
func leftover(n float64) check.Finding {
	return check.Finding{
		Rule: "ReadInClear", Severity: check.High, Object: server, Field: "apiserver_storage_transformation_operations_total",
		Message: fmt.Sprintf("%.0f Secrets were read from storage in clear since the API server started: some were not encrypted then", n),
		Fix:     check.Fix{Command: rewrite("NAMESPACE")},
	}
}

// rewrite is the command that writes the Secrets of a namespace again.
func rewrite(namespace string) string {
	return check.Command("kubectl get secrets -n %s -o json | kubectl replace -f -", namespace)
}

// most is how many names a finding lists.
const most = 200

// stale has a finding for each namespace with Secrets that nobody is known to have
// written since.
func stale(in *check.Input, since time.Time) []check.Finding {
	by := map[string][]string{}
	for i := range in.Secrets {
		if s := &in.Secrets[i]; !written(&s.Meta).After(since) {
			by[s.Namespace] = append(by[s.Namespace], s.Name)
		}
	}
	var out []check.Finding
	for namespace, names := range by {
		slices.Sort(names)
		out = append(out, check.Finding{
			Rule: "NotRewritten", Severity: check.High, Object: snapshot.Ref{Kind: "Namespace", Name: namespace},
			Message:  fmt.Sprintf("%d Secrets were last written before encryption began, so that they may still be stored in clear", len(names)),
			Affected: names[:min(most, len(names))], Count: len(names),
			Fix: check.Fix{Command: rewrite(namespace)},
		})
	}
	slices.SortFunc(out, func(a, b check.Finding) int { return cmp.Compare(a.Object.Name, b.Object.Name) })
	return out
}

// written is the newest time at which an object is known to have been written.
func written(m *snapshot.Meta) time.Time {
	newest := m.Created
	for _, w := range m.Writers {
		if w.Time.After(newest) {
			newest = w.Time
		}
	}
	return newest
}
