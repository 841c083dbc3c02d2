package identity

import "github.com/strongkeep/strongkeep/internal/vault/identity/record"

// What is kept; see package record.
type (
	Entity   = record.Entity
	Alias    = record.Alias
	External = record.External
	Group    = record.Group
	Config   = record.Config

	reference = record.Reference
)

// The types of groups.
const (
	Internal = record.Internal
	Outside  = record.Outside
)

// Policies is record.Policies.
func Policies(names []string) ([]string, error) { return record.Policies(names) }
