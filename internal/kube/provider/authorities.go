package provider

import (
	"context"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Authorities returns the certificates, in PEM, by which a store knows its server:
// those of bundle, or those in the object that from names; nil means the system's.
func (cfg Config) Authorities(ctx context.Context, bundle []byte, from *v1.CAProvider) ([]byte, error) {
	if from == nil {
		return bundle, nil
	}
	if len(bundle) > 0 {
		return nil, errs.New(errs.Invalid, "caBundle and caProvider are both set: keep one")
	}
	ref, err := cfg.Scope.Ref("caProvider", from.Namespace, from.Name)
	if err != nil {
		return nil, err
	}
	key := from.Key
	if key == "" {
		key = "ca.crt"
	}
	var pem []byte
	switch from.Type {
	case v1.CAProviderConfigMap:
		text, err := cfg.Cluster.ConfigMapKey(ctx, ref, key)
		if err != nil {
			return nil, errs.Newf(errs.KindOf(err), "caProvider: %w", err)
		}
		pem = []byte(text)
	case v1.CAProviderSecret:
		secret, err := cfg.Cluster.SecretKey(ctx, ref, key)
		if err != nil {
			return nil, errs.Newf(errs.KindOf(err), "caProvider: %w", err)
		}
		pem = secret.Reveal()
	default:
		return nil, errs.Newf(errs.Invalid, "caProvider.type is %q: it must be Secret or ConfigMap", from.Type)
	}
	if len(pem) == 0 { // which must not come to mean the system's
		return nil, errs.Newf(errs.Invalid, "caProvider: key %q of %s %q is empty", key, from.Type, ref)
	}
	return pem, nil
}
