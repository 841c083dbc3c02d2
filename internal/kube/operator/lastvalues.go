package operator

import (
	"cmp"
	"context"
	"time"

	"k8s.io/utils/clock"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/keepsake"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// week is how long last values are good if nobody says otherwise.
const week = 7 * 24 * time.Hour

// lastValues opens what keeps last values; nil: nobody asks for it. The caller closes it.
func lastValues(cfg Config, access func(context.Context, v1.Store) (provider.Access, error)) (*keepsake.Keeper, error) {
	if cfg.LastValuesDir == "" {
		if cfg.LastValuesKeyFile != "" || cfg.LastValuesOldKeyFile != "" {
			return nil, errs.New(errs.Invalid, "last-values-key-file without last-values-dir: name a directory, such as a volume that outlives the cluster")
		}
		return nil, nil
	}
	if cfg.LastValuesKeyFile == "" {
		return nil, errs.New(errs.Invalid, "last-values-dir without last-values-key-file: name a file with a key of 32 bytes, that is not in that directory: head -c 32 /dev/urandom | base64")
	}
	if cfg.LastValuesMaxAge < 0 {
		return nil, errs.Newf(errs.Invalid, "last-values-max-age is %s: it must be more than 0", cfg.LastValuesMaxAge)
	}
	key, err := keepsake.LoadKey(cfg.LastValuesKeyFile)
	if err != nil {
		return nil, err
	}
	var old redact.Secret
	if cfg.LastValuesOldKeyFile != "" {
		if old, err = keepsake.LoadKey(cfg.LastValuesOldKeyFile); err != nil {
			return nil, err
		}
	}
	return keepsake.Open(keepsake.Config{
		Dir: cfg.LastValuesDir, Key: key, Old: old, Access: access, MaxAge: cmp.Or(cfg.LastValuesMaxAge, week), Clock: clock.RealClock{}, Log: cfg.Log,
	})
}
