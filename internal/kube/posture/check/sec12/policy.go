package sec12

import (
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// policy refuses Secrets that no ServiceAccount writes. A person who may impersonate one,
// or make pods that run as one, is not stopped by it: SEC-03 says who that is.
var policy = `# Secrets come from controllers; members of system:masters can still mend things.
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: secrets-by-controllers}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [""], apiVersions: [v1], resources: [secrets], operations: [CREATE, UPDATE]}
  validations:
  - expression: >-
      ` + strings.ReplaceAll(snapshot.ByControllers, "\n", "\n      ") + `
    message: Secrets are made by controllers from the manager of secrets. Write an ExternalSecret.
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: secrets-by-controllers}
spec: {policyName: secrets-by-controllers, validationActions: [Deny]}
`
