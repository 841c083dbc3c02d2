package operator

import (
	"cmp"
	"time"

	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/keepsake"
)

// week is how long last values are good if nobody says otherwise.
const week = 7 * 24 * time.Hour

// lastValues opens what keeps last values; nil: nobody asks for it. The caller closes it.
func lastValues(cfg Config) (*keepsake.Keeper, error) {
	if cfg.LastValuesDir == "" {
		if cfg.LastValuesKeyFile != "" {
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
	return keepsake.Open(keepsake.Config{
		Dir: cfg.LastValuesDir, Key: key, MaxAge: cmp.Or(cfg.LastValuesMaxAge, week), Clock: clock.RealClock{}, Log: cfg.Log,
	})
}
