package kv

import (
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	v1 "github.com/strongkeep/strongkeep/internal/vault/engine/kv/v1"
	v2 "github.com/strongkeep/strongkeep/internal/vault/engine/kv/v2"
)

// New is the engine.Factory of mount type kv. The mount option "version" says
// which engine it is, 1 if it is not given, as in Vault. Changing the option of
// a mount that holds secrets does not convert them: the core must refuse that.
func New(cfg engine.Config) (engine.Engine, error) {
	switch version := cfg.Options["version"]; version {
	case "", "1":
		return v1.New(cfg)
	case "2":
		return v2.New(cfg)
	default:
		return nil, errs.Newf(errs.Invalid, "mount option version=%q: key/value engines have the versions 1 and 2", version)
	}
}
