package cli

import (
	"io"
	"os"
	"slices"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/rbac"
	"github.com/strongkeep/strongkeep/internal/kube/operator/rbac/census"
)

// nameSecrets lets o name what the manifests in files refer to, and leaves out what
// an operator that sees no other Secrets cannot do.
func (a *app) nameSecrets(o *rbac.Options, files []string) error {
	if o.Drills || o.RehearsalPods {
		return errs.New(errs.Invalid, "-f with -drills or -rehearsal-pods: these look at every Secret of a namespace: leave one of them out")
	}
	var c census.Census
	if len(o.Namespaces) == 1 {
		c.Namespace = o.Namespaces[0]
	}
	for _, file := range files {
		if err := a.count(&c, file); err != nil {
			return err
		}
	}
	worked, others := c.Namespaces()
	if slices.Contains(append(worked, others...), "") {
		return errs.New(errs.Invalid, "a manifest names no namespace: give it metadata.namespace, or name one namespace with -namespaces")
	}
	if len(o.Namespaces) == 0 {
		o.Namespaces = worked
	}
	if len(o.Namespaces) == 0 {
		return errs.New(errs.Invalid, "the files have no ExternalSecret, PushSecret, SecretStore or generator: nothing would be granted")
	}
	for _, ns := range others {
		if !slices.Contains(o.CredentialNamespaces, ns) && !slices.Contains(o.Namespaces, ns) {
			o.CredentialNamespaces = append(o.CredentialNamespaces, ns)
		}
	}
	o.Named, o.Rotation, o.Reload = c.Named(), false, false
	return nil
}

func (a *app) count(c *census.Census, file string) error {
	from := a.Env.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return errs.Newf(errs.Invalid, "reading manifests: %w", err)
		}
		defer func() { _ = f.Close() }()
		from = io.Reader(f)
	}
	return c.Add(file, from)
}
