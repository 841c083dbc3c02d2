package target

import (
	"cmp"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// FieldOf returns the name of the one field of t that is set, "" for none.
func FieldOf(t *v1alpha1.Target) string {
	switch {
	case t.Database != nil:
		return "database"
	case t.KV != nil:
		return "kv"
	case t.Certificate != nil:
		return "certificate"
	case t.AWSAccessKey != nil:
		return "awsAccessKey"
	case t.Webhook != nil:
		return "webhook"
	case t.Manual != nil:
		return "manual"
	}
	return ""
}

// PathOf returns the API path of a target that is published in a KV v2 engine,
// "" for another.
func PathOf(t *v1alpha1.Target) string {
	for _, p := range []*v1alpha1.KVPath{
		kv(t.KV, func(k *v1alpha1.KVTarget) *v1alpha1.KVPath { return &k.KVPath }),
		kv(t.Certificate, func(k *v1alpha1.CertificateTarget) *v1alpha1.KVPath { return &k.KVPath }),
		kv(t.AWSAccessKey, func(k *v1alpha1.AWSAccessKeyTarget) *v1alpha1.KVPath { return &k.KVPath }),
		kv(t.Webhook, func(k *v1alpha1.WebhookTarget) *v1alpha1.KVPath { return &k.KVPath }),
		kv(t.Manual, func(k *v1alpha1.ManualTarget) *v1alpha1.KVPath { return &k.KVPath }),
	} {
		if p != nil {
			return cmp.Or(p.Mount, "secret") + "/data/" + p.Path
		}
	}
	return ""
}

func kv[T any](t *T, path func(*T) *v1alpha1.KVPath) *v1alpha1.KVPath {
	if t == nil {
		return nil
	}
	return path(t)
}
