// Package sec07 asks whether certificates are renewed by machines.
// docs/checks/SEC-07.md.
package sec07

import (
	"fmt"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/origin"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Check is SEC-07.
func Check() check.Check {
	return check.Check{
		ID: "SEC-07", Title: "TLS certificates are managed by cert-manager, or another machine, and rotate automatically",
		Needs: []string{"secrets", "sources"},
		Judge: judge,
	}
}

const day = 24 * time.Hour

// soon is how long before its end a certificate that nobody renews is pressing.
const soon = 30 * day

type judgement struct {
	in  *check.Input
	out check.Verdict
	n   struct{ asked, managed, unread int }
}

func judge(in *check.Input) check.Verdict {
	j := &judgement{in: in}
	for i := range in.Sources {
		if s := &in.Sources[i]; s.Group == "cert-manager.io" && s.Kind == "Certificate" && s.Ready == "False" {
			j.add(check.Finding{
				Rule: "NotIssued", Severity: check.High, Object: snapshot.Ref{Group: s.Group, Kind: s.Kind, Namespace: s.Namespace, Name: s.Name}, Place: s.Place,
				Message: "cert-manager cannot issue or renew it: " + s.Reason,
				Fix:     check.Fix{Command: check.Command("kubectl describe certificaterequests -n %s -l cert-manager.io/certificate-name=%s", s.Namespace, s.Name)},
			})
		}
	}
	for i := range in.Secrets {
		if _, _, ok := origin.TLS(&in.Secrets[i]); ok {
			j.secret(&in.Secrets[i])
		}
	}
	return j.verdict()
}

func (j *judgement) verdict() check.Verdict {
	v, n := j.out, j.n
	v.Summary = fmt.Sprintf("TLS Secrets: %d; renewed by cert-manager or another machine: %d; with something wrong: %d", n.asked, n.managed, len(v.Findings))
	switch {
	case n.asked > 0 && n.managed == 0 && n.unread < n.asked:
		v.Answer = check.No
	case len(v.Findings) > 0:
		v.Answer = check.Partly
	case n.unread > 0:
		v.Answer, v.Needs = check.Unknown, []string{"get on secrets: " + check.Count(n.unread, "certificate") + " could not be parsed"}
	default:
		v.Answer = check.Yes
	}
	return v
}

func (j *judgement) add(f check.Finding) { j.out.Findings = append(j.out.Findings, f) }

// secret judges one certificate.
func (j *judgement) secret(s *snapshot.Secret) {
	j.n.asked++
	o := j.in.Index.Origins.Secret(s)
	if orphan := j.orphan(s, o); orphan != "" {
		j.finding(s, "Orphaned", check.High, "it was made for Certificate "+orphan+", which is not there any more: nobody renews it", check.Fix{Patch: certificate(s)})
		j.ends(s, false)
		return
	}
	machine := j.machine(s)
	if machine {
		j.n.managed++
	}
	if s.Certificate == nil {
		if !machine {
			j.n.unread++
		}
		return
	}
	if j.ends(s, machine) || machine {
		return
	}
	by := "nothing says by whom"
	if said := o.Said(); said != "" {
		by = said
	}
	j.finding(s, "NotManaged", check.Medium, fmt.Sprintf("nobody renews it (%s); it is valid until %s", by, s.Certificate.NotAfter.UTC().Format(time.DateOnly)), check.Fix{Patch: certificate(s)})
}

func (j *judgement) finding(s *snapshot.Secret, rule string, severity check.Severity, message string, fix check.Fix) {
	f := check.Finding{Rule: rule, Severity: severity, Object: origin.Ref(s), Place: s.Place, Message: message, Fix: fix}
	for _, u := range j.in.Index.Uses[path.Name{Namespace: s.Namespace, Name: s.Name}] {
		f.Affected = append(f.Affected, u.From.String())
	}
	for _, w := range j.in.Index.Workloads[path.Name{Namespace: s.Namespace, Name: s.Name}] {
		f.Affected = append(f.Affected, w.Kind+" "+w.Namespace+"/"+w.Name)
	}
	f.Affected, f.Count = check.Names(f.Affected)
	j.add(f)
}

// machine reports whether something renews s.
func (j *judgement) machine(s *snapshot.Secret) bool {
	o := j.in.Index.Origins.Secret(s)
	return j.in.Index.Origins.Managed(s) || o.Kind.MadeUp()
}

// orphan returns the Certificate that s was made for, if it is not there.
func (j *judgement) orphan(s *snapshot.Secret, o origin.Origin) string {
	name := s.Annotations["cert-manager.io/certificate-name"]
	if name == "" || o.Kind != origin.Issuer || !j.in.Live || !j.in.Coverage.Whole("sources") {
		return ""
	}
	for i := range j.in.Sources {
		if c := &j.in.Sources[i]; c.Kind == "Certificate" && c.Group == "cert-manager.io" && c.Namespace == s.Namespace && c.Name == name {
			return ""
		}
	}
	return s.Namespace + "/" + name
}

// ends judges how long s is valid still; true if something is wrong with that.
func (j *judgement) ends(s *snapshot.Secret, machine bool) bool {
	c := s.Certificate
	if c == nil {
		return false
	}
	left, life := c.NotAfter.Sub(j.in.Now), c.NotAfter.Sub(c.NotBefore)
	fix := check.Fix{Patch: certificate(s)}
	if o := j.in.Index.Origins.Secret(s); o.Kind == origin.Issuer {
		name := s.Annotations["cert-manager.io/certificate-name"]
		if name == "" {
			name = s.Name
		}
		fix = check.Fix{Command: check.Command("kubectl describe certificate -n %s %s", s.Namespace, name)}
	}
	switch {
	case left <= 0:
		j.finding(s, "Expired", check.Critical, "its certificate ended on "+c.NotAfter.UTC().Format(time.DateOnly), fix)
	case j.in.Now.Before(c.NotBefore):
		j.finding(s, "NotYetValid", check.High, "its certificate begins on "+c.NotBefore.UTC().Format(time.DateOnly), fix)
	case machine && left < life/6: // cert-manager renews when a third is left
		j.finding(s, "RenewalOverdue", check.High, fmt.Sprintf("%s of %s are left, and it has not been renewed", span(left), span(life)), fix)
	case !machine && left < soon:
		j.finding(s, "EndsSoon", check.High, fmt.Sprintf("it ends in %s, and nobody renews it", span(left)), fix)
	default:
		return false
	}
	return true
}

// certificate is what has cert-manager renew s.
func certificate(s *snapshot.Secret) string {
	names := "[name.example.com]"
	if s.Certificate != nil && len(s.Certificate.DNSNames) > 0 {
		names = fmt.Sprintf("%q", s.Certificate.DNSNames)
		names = commas(names)
	}
	return fmt.Sprintf(`# With the name of an issuer of yours: kubectl get clusterissuers,issuers -A
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {namespace: %[1]s, name: %[2]s}
spec:
  secretName: %[2]s
  dnsNames: %[3]s
  issuerRef: {kind: ClusterIssuer, name: name-of-an-issuer}
`, check.Scalar(s.Namespace), check.Scalar(s.Name), names)
}

// commas makes a list of YAML of one that Go prints.
func commas(list string) string {
	out := make([]byte, 0, len(list)+8)
	for i := range len(list) {
		if list[i] == ' ' {
			out = append(out, ',')
		}
		out = append(out, list[i])
	}
	return string(out)
}

func span(d time.Duration) string {
	if d >= 2*day {
		return check.Count(int(d/day), "day")
	}
	return check.Count(int(d/time.Hour), "hour")
}
