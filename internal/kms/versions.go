package kms

import (
	"time"

	"github.com/strongkeep/strongkeep/internal/keystore"
)

// Known is a version of a key, by the key id that API servers are told.
type Known struct {
	ID, KeyID string
	Made      time.Time // zero: the store does not say
	// Active is from when plugins turn to it, if it works; zero: from when they see it.
	Active time.Time
	Wraps  bool // plugins turn to no other
}

// Versions are those of a history, by age, as every plugin with this configuration tells
// them. Nobody is asked.
func (p *Plugin) Versions(h keystore.History) []Known {
	all := make([]Known, len(h.Versions))
	for i, v := range h.Versions {
		all[i] = Known{ID: v.ID, KeyID: keyID(p.rules.name, p.rules.key, h.Lineage, v), Made: v.Made, Active: p.rules.ripe(&version{Version: v}), Wraps: v.Wraps}
	}
	return all
}
