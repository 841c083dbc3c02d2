package provider

import (
	generators "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Ambient says which stores and generators may use the operator's own identity in a cloud when
// they name none: whoever makes such a store reads whatever the operator may. The
// zero value is AmbientCluster.
type Ambient string

// Which stores may use the operator's own identity.
const (
	AmbientCluster Ambient = "cluster" // ClusterSecretStores and ClusterGenerators, which only administrators make
	AmbientAll     Ambient = "all"     // SecretStores too, as with External Secrets
	AmbientNone    Ambient = "none"
)

// ParseAmbient reads a setting; nothing is AmbientCluster.
func ParseAmbient(s string) (Ambient, error) {
	switch a := Ambient(s); a {
	case "":
		return AmbientCluster, nil
	case AmbientCluster, AmbientAll, AmbientNone:
		return a, nil
	}
	return "", errs.Newf(errs.Invalid, "ambient-credentials is %q: it must be cluster, all or none", s)
}

// Admit refuses a store that may not use the operator's own identity. instead says
// what to set.
func (a Ambient) Admit(s Scope, instead string) error {
	kind := s.Store().Kind
	cluster := s.every || kind == generators.KindClusterGenerator
	switch {
	case a == AmbientAll, a != AmbientNone && cluster:
		return nil
	case cluster:
		return errs.Newf(errs.Denied, "nobody may use the operator's own identity (--ambient-credentials=none): set %s", instead)
	}
	return errs.Newf(errs.Denied, "a %s may not use the operator's own identity: set %s, or run the operator with --ambient-credentials=all", kind, instead)
}
