package gather

import (
	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Supported refuses by name what this operator does not do yet, so that no
// field is passed over in silence. Admission checks the rest.
func Supported(spec *v1.ExternalSecretSpec) error {
	refuse := func(field string) error {
		return errs.Newf(errs.Unsupported, "spec.%s is not supported by this operator: remove it", field)
	}
	switch {
	case spec.SyncWindows != nil:
		return refuse("syncWindows")
	case spec.Target.Manifest != nil:
		return refuse("target.manifest")
	case spec.Target.CreationPolicy == v1.CreateOrMerge:
		return errs.New(errs.Unsupported, "spec.target.creationPolicy CreateOrMerge is not supported by this operator: use Merge or Orphan")
	}
	for i := range spec.Data {
		if s := spec.Data[i].SourceRef; s != nil && s.GeneratorRef != nil {
			return refuse("data[].sourceRef.generatorRef")
		}
		if dataStore(spec, &spec.Data[i]).Name == "" {
			return errs.Newf(errs.Invalid, "data %q has no store: set spec.secretStoreRef.name", spec.Data[i].SecretKey)
		}
	}
	for i := range spec.DataFrom {
		f := &spec.DataFrom[i]
		switch {
		case f.SourceRef != nil && f.SourceRef.GeneratorRef != nil:
			return refuse("dataFrom[].sourceRef.generatorRef")
		case f.Find != nil:
			return refuse("dataFrom[].find")
		case len(f.Rewrite) > 0:
			return refuse("dataFrom[].rewrite")
		case f.Extract == nil:
			return errs.Newf(errs.Invalid, "dataFrom[%d] says nothing: add extract", i)
		case fromStore(spec, f).Name == "":
			return errs.Newf(errs.Invalid, "dataFrom[%d] has no store: set spec.secretStoreRef.name", i)
		}
	}
	return nil
}
