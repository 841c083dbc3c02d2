package sec05

import (
	"fmt"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

func name(s *snapshot.Secret) path.Name { return path.Name{Namespace: s.Namespace, Name: s.Name} }

// adopt is the ExternalSecret that fills s from a store: it merges into the Secret
// that is there, so that nothing is without it meanwhile.
func adopt(in *check.Input, s *snapshot.Secret) string {
	kind, store := in.Index.Origins.StoreFor(s.Namespace)
	return fmt.Sprintf(`# First put its fields into the store as %[5]s; then commit this.
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {namespace: %[1]s, name: %[2]s}
spec:
  refreshInterval: 1h
  secretStoreRef: {kind: %[3]s, name: %[4]s}
  target: {name: %[2]s, creationPolicy: Merge}
  dataFrom:
  - extract: {key: %[5]s}
`, check.Scalar(s.Namespace), check.Scalar(s.Name), check.Scalar(kind), check.Scalar(store), check.Scalar(s.Namespace+"/"+s.Name))
}
