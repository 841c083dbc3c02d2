package operator

import (
	"context"
	"crypto/tls"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/hook"
	"github.com/strongkeep/strongkeep/internal/kube/operator/stores"
)

// reasonChangesRefused is that of the event on a store whose queue cannot be read.
const reasonChangesRefused = "ChangesNotHeard"

// changesRefused tells who looks at a store why its changes come late.
func (e *events) changesRefused(store v1.Store, err error) {
	e.event(store, corev1.EventTypeWarning, reasonChangesRefused, "changes of the store arrive with the refresh interval: "+err.Error())
}

// hook returns what takes reports of changes; nil when it is off.
func (p parts) hook() (http.Handler, error) {
	if p.cfg.ChangesAddr == "" {
		return nil, nil //nolint:nilnil // it is off
	}
	lookup := stores.Lookup{Reader: p.mgr.GetClient(), Class: p.cfg.Class, Only: p.cfg.OnlyClass}
	return hook.New(hook.Config{
		Store: func(ctx context.Context, key v1.StoreKey) (v1.Store, error) {
			var store v1.Store = &v1.SecretStore{}
			if key.Kind == v1.KindClusterSecretStore {
				if p.cfg.NoClusterStores {
					return nil, errs.New(errs.NotExist, "this operator leaves ClusterSecretStores alone")
				}
				store = &v1.ClusterSecretStore{}
			}
			if err := lookup.Reader.Get(ctx, key.NamespacedName(), store); err != nil {
				return nil, errs.Newf(errs.NotExist, "getting %s: %w", key, err)
			}
			if !lookup.Answers(store) {
				return nil, errs.Newf(errs.NotExist, "%s is another operator's", key)
			}
			return store, nil
		},
		Stores: p.pool, Report: p.hub.Report, Elected: p.mgr.Elected(), Clock: clock.RealClock{}, Log: p.cfg.Log,
	})
}

// changesTLS returns how the server of reports proves itself; nil: it does not. The
// files are read again when they change, until ctx ends.
func changesTLS(ctx context.Context, cfg Config) (*tls.Config, error) {
	if cfg.ChangesAddr == "" && cfg.ChangesTLSCert+cfg.ChangesTLSKey != "" {
		return nil, errs.New(errs.Invalid, "changes-tls-cert without changes-addr: name an address such as :8443")
	}
	if (cfg.ChangesTLSCert == "") != (cfg.ChangesTLSKey == "") {
		return nil, errs.New(errs.Invalid, "changes-tls-cert and changes-tls-key go together: name both files")
	}
	if cfg.ChangesTLSCert == "" {
		return nil, nil //nolint:nilnil // no TLS
	}
	w, err := certwatcher.New(cfg.ChangesTLSCert, cfg.ChangesTLSKey)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "loading changes-tls-cert and changes-tls-key: %w", err)
	}
	go func() {
		if err := w.Start(ctx); err != nil {
			cfg.Log.Warn("a renewed certificate of changes-addr is taken at the next start only", "error", err)
		}
	}()
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: w.GetCertificate, NextProtos: []string{"h2", "http/1.1"}}, nil
}
