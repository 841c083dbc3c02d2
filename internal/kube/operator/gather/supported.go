package gather

import (
	corev1 "k8s.io/api/core/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/window"
)

// Supported refuses by name what this operator does not do yet, so that no
// field is passed over in silence. Admission checks the rest.
func Supported(spec *v1.ExternalSecretSpec) error {
	if p := spec.Target.CreationPolicy; spec.Target.Immutable && (p == v1.CreateMerge || p == v1.CreateOrMerge) {
		return errs.Newf(errs.Invalid, "spec.target.immutable cannot be with creationPolicy %s: others write that %s too; remove it, or use Owner or Orphan", p, kindOf(spec))
	}
	if t := spec.Target.Template; t != nil && reserved(t.Type) {
		return errs.Newf(errs.Invalid, "spec.target.template.type: Secrets of type %s are made by Kubernetes itself, which writes credentials into them: use another type", t.Type)
	}
	if _, err := window.Parse(spec.SyncWindows); err != nil {
		return errs.Newf(errs.KindOf(err), "spec.%w", err)
	}
	for i := range spec.Data {
		if err := supportedData(spec, &spec.Data[i]); err != nil {
			return err
		}
	}
	for i := range spec.DataFrom {
		if err := supportedFrom(spec, i); err != nil {
			return err
		}
	}
	return nil
}

// reserved reports whether Kubernetes fills in Secrets of a type, or logs people in by them.
// The definition of ExternalSecret refuses these too, and that of the External Secrets
// Operator does not.
func reserved(kind string) bool {
	switch corev1.SecretType(kind) {
	case corev1.SecretTypeServiceAccountToken, corev1.SecretTypeBootstrapToken:
		return true
	}
	return false
}

// OnlySecret is Supported for those who know nothing of targets but Secrets.
func OnlySecret(spec *v1.ExternalSecretSpec) error {
	if m := spec.Target.Manifest; m != nil {
		return errs.Newf(errs.Unsupported, "spec.target.manifest makes a %s: only Secrets are looked at here (docs/target-manifest.md)", m.Kind)
	}
	return Supported(spec)
}

// kindOf names the kind of the target for messages.
func kindOf(spec *v1.ExternalSecretSpec) string {
	if m := spec.Target.Manifest; m != nil {
		return m.Kind
	}
	return "Secret"
}

func refuse(field string) error {
	return errs.Newf(errs.Unsupported, "spec.%s is not supported by this operator: remove it", field)
}

func supportedData(spec *v1.ExternalSecretSpec, d *v1.ExternalSecretData) error {
	if s := d.SourceRef; s != nil && s.GeneratorRef != nil {
		return refuse("data[].sourceRef.generatorRef")
	}
	if dataStore(spec, d).Name == "" {
		return errs.Newf(errs.Invalid, "data %q has no store: set spec.secretStoreRef.name", d.SecretKey)
	}
	return nil
}

func supportedFrom(spec *v1.ExternalSecretSpec, i int) error {
	f := &spec.DataFrom[i]
	switch {
	case f.SourceRef != nil && f.SourceRef.GeneratorRef != nil:
		return supportedGenerator(spec, i)
	case f.Find != nil && f.Extract != nil:
		return errs.Newf(errs.Invalid, "dataFrom[%d] has both extract and find: make two entries of it", i)
	case f.Find == nil && f.Extract == nil:
		return errs.Newf(errs.Invalid, "dataFrom[%d] says nothing: add extract or find", i)
	case fromStore(spec, f).Name == "":
		return errs.Newf(errs.Invalid, "dataFrom[%d] has no store: set spec.secretStoreRef.name", i)
	}
	return nil
}

// supportedGenerator refuses what would lose what a generator makes.
func supportedGenerator(spec *v1.ExternalSecretSpec, i int) error {
	f := &spec.DataFrom[i]
	switch {
	case f.Find != nil || f.Extract != nil || f.SourceRef.SecretStoreRef != nil:
		return errs.Newf(errs.Invalid, "dataFrom[%d] has a generatorRef and something else: make two entries of it", i)
	case spec.Target.Manifest != nil:
		return errs.Newf(errs.Unsupported, "dataFrom[%d]: what a generator makes is kept in a Secret, by which it is known when it may be revoked: remove spec.target.manifest", i)
	case spec.Target.CreationPolicy == v1.CreateNone:
		return errs.Newf(errs.Invalid, "dataFrom[%d]: with creationPolicy None no Secret would hold what the generator makes: use Owner or Orphan", i)
	}
	return nil
}
