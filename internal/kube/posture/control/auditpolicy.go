package control

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/apis/audit"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/apiserver/pkg/audit/policy"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// largest bounds an audit policy, in bytes.
const largest = 4 << 20

// AuditPolicy reads an audit policy as the API server does, and returns it as YAML
// with nothing in it but the policy: no comments, no unknown fields.
func AuditPolicy(place string, text []byte) ([]byte, error) {
	p, err := LoadPolicy(text)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "reading the audit policy %s: %w", place, err)
	}
	var v1 auditv1.Policy
	if err := auditv1.Convert_audit_Policy_To_v1_Policy(p, &v1, nil); err != nil {
		return nil, errs.Newf(errs.Internal, "converting the audit policy %s: %w", place, err)
	}
	v1.TypeMeta = metav1.TypeMeta{APIVersion: auditv1.SchemeGroupVersion.String(), Kind: "Policy"}
	v1.ObjectMeta = metav1.ObjectMeta{}
	out, err := yaml.Marshal(&v1)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "writing the audit policy %s: %w", place, err)
	}
	return out, nil
}

// LoadPolicy is the policy in text.
func LoadPolicy(text []byte) (*audit.Policy, error) {
	if len(text) > largest {
		return nil, errs.New(errs.TooLarge, fmt.Sprintf("it is over %d MiB", largest>>20))
	}
	p, err := policy.LoadPolicyFromBytes(text)
	if err != nil {
		// The decoder's own words may quote the file.
		return nil, errs.New(errs.Invalid, "the API server does not start with it: it has to be a Policy of audit.k8s.io/v1 with at least one rule, each with a level")
	}
	return p, nil
}
