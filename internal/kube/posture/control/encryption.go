package control

import (
	"net/url"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/config"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Encryption reads an EncryptionConfiguration, YAML or JSON, as strictly as the API
// server does: what it would not start with is Invalid (or TooLarge), with the line at
// fault and nothing of its content but names. place is its name for people.
func Encryption(place string, text []byte) (*snapshot.Encryption, error) {
	file, err := config.Parse(place, text)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "reading the encryption configuration: the API server does not start with it: %w", err)
	}
	out := &snapshot.Encryption{Place: place, Hash: file.Hash}
	for i := range file.Entries {
		e := &file.Entries[i]
		rule := snapshot.Rule{Resources: slices.Clone(e.Resources)}
		for _, p := range e.Providers {
			rule.Providers = append(rule.Providers, snapshot.EncryptionProvider{Kind: p.Kind, Name: p.Name, APIVersion: p.Version, Endpoint: endpoint(p.Endpoint), Keys: len(p.Keys)})
		}
		out.Rules = append(out.Rules, rule)
	}
	return out, nil
}

// endpoint is the path of a socket, without what may stand around it; "" of none.
func endpoint(text string) string {
	u, err := url.Parse(text)
	if text == "" || err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Path
}

// InForce compares the EncryptionConfiguration that was given with the one that the API server
// that answered has in force. known is false where it does not tell.
func InForce(c *snapshot.Control) (same, known bool) {
	if c.Encryption == nil || c.Encryption.Hash == "" || c.InForce == "" {
		return false, false
	}
	return c.Encryption.Hash == c.InForce, true
}

// Providers returns those that write and read a resource of the core group, in
// their order: the first one writes, all of them read. None means that it is
// stored in clear. A name goes before wildcards, and several entries with the
// same name are one after the other, as the API server has it.
func Providers(e *snapshot.Encryption, resource string) []snapshot.EncryptionProvider {
	for _, want := range []schema.GroupResource{{Resource: resource}, {Resource: "*"}, {Group: "*", Resource: "*"}} {
		var out []snapshot.EncryptionProvider
		for i := range e.Rules {
			for _, name := range e.Rules[i].Resources {
				if schema.ParseGroupResource(name) == want {
					out = append(out, e.Rules[i].Providers...)
				}
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}
