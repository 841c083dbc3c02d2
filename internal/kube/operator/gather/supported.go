package gather

import (
	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Supported refuses by name what this operator does not do yet, so that no
// field is passed over in silence. Admission checks the rest.
func Supported(spec *v1.ExternalSecretSpec) error {
	switch {
	case spec.SyncWindows != nil:
		return refuse("syncWindows")
	case spec.Target.Manifest != nil:
		return refuse("target.manifest")
	case spec.Target.CreationPolicy == v1.CreateOrMerge:
		return errs.New(errs.Unsupported, "spec.target.creationPolicy CreateOrMerge is not supported by this operator: use Merge or Orphan")
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
		return refuse("dataFrom[].sourceRef.generatorRef")
	case f.Find != nil && f.Extract != nil:
		return errs.Newf(errs.Invalid, "dataFrom[%d] has both extract and find: make two entries of it", i)
	case f.Find == nil && f.Extract == nil:
		return errs.Newf(errs.Invalid, "dataFrom[%d] says nothing: add extract or find", i)
	case fromStore(spec, f).Name == "":
		return errs.Newf(errs.Invalid, "dataFrom[%d] has no store: set spec.secretStoreRef.name", i)
	}
	return nil
}
