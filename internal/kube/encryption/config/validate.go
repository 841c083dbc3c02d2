package config

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
)

// rules are those by which an API server with automatic reload refuses a file, in
// words that name the line and no value that could be a key.
// Source: k8s.io/apiserver pkg/apis/apiserver/validation, which is not used itself
// since it brings CEL along, and the masking in pkg/server/options/encryptionconfig.
type rules struct {
	root  *yaml.Node
	names []string               // of KMS providers so far
	seen  []schema.GroupResource // in entries so far
}

func validate(c *apiserverv1.EncryptionConfiguration, root *yaml.Node) error {
	if len(c.Resources) == 0 {
		return at(lineAt(root, "resources"), "resources is empty")
	}
	r := &rules{root: root}
	for i := range c.Resources {
		if err := r.entry(i, &c.Resources[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *rules) entry(i int, e *apiserverv1.ResourceConfiguration) error {
	if len(e.Resources) == 0 || len(e.Providers) == 0 {
		return at(lineAt(r.root, "resources", i), "an entry needs both resources and providers")
	}
	var own []schema.GroupResource
	for j, name := range e.Resources {
		gr := schema.ParseGroupResource(name)
		wrong := misnamedResource(name, gr)
		if wrong == "" {
			wrong = r.overlap(gr, own)
		}
		if wrong != "" {
			return at(lineAt(r.root, "resources", i, "resources", j), "resource %s: %s", name, wrong)
		}
		own = append(own, gr)
	}
	r.seen = append(r.seen, own...)
	for j := range e.Providers {
		if err := r.provider(&e.Providers[j], []any{"resources", i, "providers", j}); err != nil {
			return err
		}
	}
	return nil
}

// misnamedResource says why no API server takes a name.
func misnamedResource(name string, gr schema.GroupResource) string {
	switch {
	case name != strings.ToLower(name):
		return "names of resources are in small letters"
	case name == "*":
		return "write *. for the core group, *.GROUP for another, *.* for everything"
	case name == "apiserveripinfo" || name == "serviceipallocations" || name == "servicenodeportallocations":
		return "it is not served, and cannot be encrypted"
	case gr.Group == "events.k8s.io":
		return "events are stored in the core group: write events"
	case gr.Group == "extensions":
		return "the group extensions is no more: write the resource's own"
	case gr.Group == "*" && gr.Resource != "*":
		return "one resource of all groups is no wildcard: name its group"
	}
	return ""
}

// overlap says what hides a name, or is hidden by it. The same name in two entries is
// taken: their providers are those of the first and then those of the second.
func (r *rules) overlap(gr schema.GroupResource, own []schema.GroupResource) string {
	for _, other := range own {
		switch {
		case other == gr:
			return "it is named twice"
		case other == everything, gr == everything, other.Group == gr.Group && (other.Resource == "*" || gr.Resource == "*"):
			return "it overlaps " + written(other) + " in the same entry: give the wildcard an entry of its own, below"
		}
	}
	for _, wide := range []schema.GroupResource{{Group: gr.Group, Resource: "*"}, everything} {
		if slices.Contains(r.seen, wide) {
			return "it is hidden by the wildcard " + written(wide) + " of an entry above: put this entry before that one"
		}
	}
	return ""
}

func (r *rules) provider(p *apiserverv1.ProviderConfiguration, path []any) error {
	kinds := 0
	for _, there := range []bool{p.KMS != nil, p.AESGCM != nil, p.AESCBC != nil, p.Secretbox != nil, p.Identity != nil} {
		if there {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return at(lineAt(r.root, path...), "a provider has to be exactly one of kms, aesgcm, aescbc, secretbox and identity: each is an element of its own")
	case p.KMS != nil:
		return r.kms(p.KMS, append(path, "kms"))
	case p.AESGCM != nil:
		return r.keys(p.AESGCM.Keys, append(path, "aesgcm", "keys"), 16, 24, 32)
	case p.AESCBC != nil:
		return r.keys(p.AESCBC.Keys, append(path, "aescbc", "keys"), 16, 24, 32)
	case p.Secretbox != nil:
		return r.keys(p.Secretbox.Keys, append(path, "secretbox", "keys"), 32)
	}
	return nil
}

func (r *rules) kms(k *apiserverv1.KMSConfiguration, path []any) error {
	line := func(field string) int { return lineAt(r.root, append(slices.Clone(path), field)...) }
	switch u, err := url.Parse(k.Endpoint); {
	case k.APIVersion != "v1" && k.APIVersion != "v2":
		return at(line("apiVersion"), "apiVersion of a kms provider has to be v2 (or v1, which is off by default)")
	case k.Name == "":
		return at(line("name"), "a kms provider needs a name")
	case k.APIVersion == "v2" && strings.Contains(k.Name, ":"):
		return at(line("name"), "the name of a kms provider must have no colon: it ends at one in etcd")
	case slices.Contains(r.names, k.Name):
		return at(line("name"), "another kms provider is named %s too: each needs a name of its own", k.Name)
	case k.Endpoint == "" || err != nil || u.Scheme != "unix":
		return at(line("endpoint"), "endpoint has to be a socket's: unix:///run/strongkeep-kms/kms.sock")
	}
	r.names = append(r.names, k.Name)
	return limits(k, line)
}

// limits judges the numbers of a kms provider.
func limits(k *apiserverv1.KMSConfiguration, line func(string) int) error {
	switch {
	case k.APIVersion == "v2" && k.CacheSize != nil:
		return at(line("cachesize"), "cachesize is of KMS v1: v2 has none")
	case k.APIVersion == "v1" && k.CacheSize != nil && *k.CacheSize == 0:
		return at(line("cachesize"), "cachesize has to be positive, or negative for none")
	case k.Timeout != nil && k.Timeout.Duration <= 0:
		return at(line("timeout"), "timeout has to be positive")
	}
	return nil
}

func (r *rules) keys(keys []apiserverv1.Key, path []any, sizes ...int) error {
	if len(keys) == 0 {
		return at(lineAt(r.root, path...), "at least one key is needed")
	}
	for i := range keys {
		raw, err := base64.StdEncoding.DecodeString(keys[i].Secret)
		here := append(slices.Clone(path), i)
		switch {
		case keys[i].Name == "":
			return at(lineAt(r.root, here...), "a key needs a name")
		case err != nil:
			return at(lineAt(r.root, append(here, "secret")...), "the secret of a key has to be base64")
		case !slices.Contains(sizes, len(raw)):
			return at(lineAt(r.root, append(here, "secret")...), "the secret of a key has %d bytes, and needs one of %v", len(raw), sizes)
		}
	}
	return nil
}
