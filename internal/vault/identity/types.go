package identity

import "github.com/strongkeep/strongkeep/internal/vault/identity/record"

// Entity is record.Entity.
type Entity = record.Entity

// Alias is record.Alias.
type Alias = record.Alias

// External is record.External.
type External = record.External

// Group is record.Group.
type Group = record.Group

// Config is record.Config.
type Config = record.Config

type reference = record.Reference

// The types of groups.
const (
	Internal = record.Internal
	Outside  = record.Outside
)

// Policies is record.Policies.
func Policies(names []string) ([]string, error) { return record.Policies(names) }
