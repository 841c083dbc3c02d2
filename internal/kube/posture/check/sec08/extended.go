package sec08

import (
	"fmt"
	"strconv"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// extend is the flag by which the API server issues tokens that the kubelet asks for an
// hour (3607 seconds, for the volume that admission adds) for a year instead, so that old
// clients, which never read the file again, go on. It is on by default.
const extend = "service-account-extend-token-expiration"

// extended finds API servers that extend injected tokens.
func (j *judgement) extended() {
	servers := j.in.Control.Servers
	if len(servers) == 0 {
		j.out.Evidence = append(j.out.Evidence, check.Evidence{Fact: "flags of API servers were not seen: unless they have --" + extend + "=false, tokens that admission adds to pods are valid for a year"})
		return
	}
	f := check.Finding{
		Rule: "ExtendedTokens", Severity: check.Low, Object: snapshot.Ref{Kind: "APIServer", Name: "kube-apiserver"}, Field: extend,
		Fix: check.Fix{Text: "Give every kube-apiserver --" + extend + "=false, once its metric serviceaccount_stale_tokens_total does not grow: until then some clients do not read the file again and would be refused."},
	}
	for i := range servers {
		if on, err := strconv.ParseBool(servers[i].Flags[extend]); on || err != nil {
			f.Affected = append(f.Affected, servers[i].Name)
		}
	}
	f.Affected, f.Count = check.Names(f.Affected)
	if j.n.extended = f.Count; f.Count == 0 {
		return
	}
	f.Message = fmt.Sprintf("%d of %s issue tokens that admission adds to pods for a year, not an hour: who copies one has it for as long as the pod lives", f.Count, check.Count(len(servers), "API server"))
	j.out.Findings = append(j.out.Findings, f)
}
