package control

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// largest bounds a file of a control plane, in bytes.
const largest = 4 << 20

// Encryption reads an EncryptionConfiguration, YAML or JSON, as strictly as the API
// server does: with what it would not start with, the error is Invalid and says
// which field is wrong, and nothing of its content. place is its name for people.
func Encryption(place string, text []byte) (*snapshot.Encryption, error) {
	config, err := decodeEncryption(text)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "reading the encryption configuration %s: %w", place, err)
	}
	if wrong := wrongEncryption(config); wrong != "" {
		return nil, errs.Newf(errs.Invalid, "reading the encryption configuration %s: the API server does not start with it: %s", place, wrong)
	}
	out := &snapshot.Encryption{Place: place}
	for i := range config.Resources {
		r := &config.Resources[i]
		rule := snapshot.Rule{Resources: slices.Clone(r.Resources)}
		for j := range r.Providers {
			rule.Providers = append(rule.Providers, provider(&r.Providers[j]))
		}
		out.Rules = append(out.Rules, rule)
	}
	return out, nil
}

func decodeEncryption(text []byte) (*apiserverv1.EncryptionConfiguration, error) {
	if len(text) > largest {
		return nil, errs.New(errs.TooLarge, fmt.Sprintf("it is over %d MiB", largest>>20))
	}
	scheme := runtime.NewScheme()
	if err := apiserverv1.AddToScheme(scheme); err != nil {
		return nil, errs.Newf(errs.Internal, "making a decoder: %w", err)
	}
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	o, _, err := codecs.UniversalDeserializer().Decode(text, nil, nil)
	// The decoder's own words may quote the file.
	switch {
	case runtime.IsStrictDecodingError(err):
		return nil, errs.New(errs.Invalid, "a field is unknown, or there twice")
	case runtime.IsNotRegisteredError(err), runtime.IsMissingKind(err), runtime.IsMissingVersion(err):
		return nil, errs.New(errs.Invalid, "it has to be of apiVersion apiserver.config.k8s.io/v1 and kind EncryptionConfiguration")
	case err != nil:
		return nil, errs.New(errs.Invalid, "this is not YAML, it was cut off, or a field has the wrong type")
	}
	config, ok := o.(*apiserverv1.EncryptionConfiguration)
	if !ok {
		return nil, errs.New(errs.Invalid, "it has to be of kind EncryptionConfiguration")
	}
	for i := range config.Resources {
		for j := range config.Resources[i].Providers {
			if kms := config.Resources[i].Providers[j].KMS; kms != nil {
				apiserverv1.SetDefaults_KMSConfiguration(kms)
			}
		}
	}
	return config, nil
}

// provider is p without its keys.
func provider(p *apiserverv1.ProviderConfiguration) snapshot.EncryptionProvider {
	switch {
	case p.KMS != nil:
		return snapshot.EncryptionProvider{Kind: "kms", Name: p.KMS.Name, APIVersion: p.KMS.APIVersion, Endpoint: endpoint(p.KMS.Endpoint)}
	case p.AESGCM != nil:
		return snapshot.EncryptionProvider{Kind: "aesgcm", Keys: len(p.AESGCM.Keys)}
	case p.AESCBC != nil:
		return snapshot.EncryptionProvider{Kind: "aescbc", Keys: len(p.AESCBC.Keys)}
	case p.Secretbox != nil:
		return snapshot.EncryptionProvider{Kind: "secretbox", Keys: len(p.Secretbox.Keys)}
	}
	return snapshot.EncryptionProvider{Kind: "identity"}
}

// endpoint is the path of a socket, without what may stand around it.
func endpoint(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Path
}

// wrongEncryption says what the API server refuses, "" if nothing.
func wrongEncryption(c *apiserverv1.EncryptionConfiguration) string {
	if len(c.Resources) == 0 {
		return "resources is empty"
	}
	var earlier []schema.GroupResource
	for i := range c.Resources {
		r := &c.Resources[i]
		at := fmt.Sprintf("resources[%d]", i)
		if len(r.Resources) == 0 || len(r.Providers) == 0 {
			return at + " needs both resources and providers"
		}
		for _, name := range r.Resources {
			gr := schema.ParseGroupResource(name)
			if wrong := wrongResource(name, gr, earlier); wrong != "" {
				return at + ".resources: " + wrong
			}
			earlier = append(earlier, gr)
		}
		for j := range r.Providers {
			if wrong := wrongProvider(&r.Providers[j]); wrong != "" {
				return fmt.Sprintf("%s.providers[%d] %s", at, j, wrong)
			}
		}
	}
	return ""
}

func wrongResource(name string, gr schema.GroupResource, earlier []schema.GroupResource) string {
	if name == "*" || gr.Group == "*" && gr.Resource != "*" || name != strings.ToLower(name) {
		return "a name is none of resource, resource.group, *.group, *. and *.*"
	}
	for _, e := range earlier {
		if e.Resource == "*" && (e.Group == "*" || e.Group == gr.Group) && e != gr {
			return "a name is hidden by a wildcard before it"
		}
	}
	return ""
}

// wrongProvider says what is wrong with one provider, without a word of its keys.
func wrongProvider(p *apiserverv1.ProviderConfiguration) string {
	kinds := 0
	for _, there := range []bool{p.KMS != nil, p.AESGCM != nil, p.AESCBC != nil, p.Secretbox != nil, p.Identity != nil} {
		if there {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return "has to be exactly one of kms, aesgcm, aescbc, secretbox and identity"
	case p.KMS != nil:
		return wrongKMS(p.KMS)
	case p.AESGCM != nil:
		return wrongKeys(p.AESGCM.Keys, 16, 24, 32)
	case p.AESCBC != nil:
		return wrongKeys(p.AESCBC.Keys, 16, 24, 32)
	case p.Secretbox != nil:
		return wrongKeys(p.Secretbox.Keys, 32)
	}
	return ""
}

func wrongKMS(k *apiserverv1.KMSConfiguration) string {
	switch {
	case k.APIVersion != "v1" && k.APIVersion != "v2":
		return "has an apiVersion of KMS that is neither v1 nor v2"
	case k.Name == "" || k.APIVersion == "v2" && strings.Contains(k.Name, ":"):
		return "needs a name without a colon"
	case !strings.HasPrefix(k.Endpoint, "unix:"):
		return "needs an endpoint that begins with unix:"
	case k.APIVersion == "v2" && k.CacheSize != nil:
		return "has a cachesize, which KMS v2 does not know"
	case k.Timeout != nil && k.Timeout.Duration <= 0:
		return "has a timeout that is not positive"
	}
	return ""
}

func wrongKeys(keys []apiserverv1.Key, sizes ...int) string {
	if len(keys) == 0 {
		return "has no keys"
	}
	for i := range keys {
		raw, err := base64.StdEncoding.DecodeString(keys[i].Secret)
		if err != nil || keys[i].Name == "" || !slices.Contains(sizes, len(raw)) {
			return fmt.Sprintf("has keys[%d] without a name, not in base64, or of a length that is not one of %v bytes", i, sizes)
		}
	}
	return ""
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
