package config

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// largest bounds a file, in bytes.
const largest = 4 << 20

// File is an EncryptionConfiguration that API servers start with. It is never
// changed. The zero File is that of an API server without one, which stores
// everything in the clear.
type File struct {
	Place   string // for people
	Hash    string // as API servers tell it in their metrics; "" without a file
	Entries []Entry

	text redact.Secret // has keys
}

// Entry is one element of resources.
type Entry struct {
	Line      int
	Resources []string // as they are written: secrets, deployments.apps, *.apps, *., *.*
	Providers []Provider
}

// Provider reads what it wrote, and the first of a resource writes.
type Provider struct {
	Line     int
	Kind     string // kms, aescbc, aesgcm, secretbox, identity
	Name     string // of kms
	Version  string // of kms: v1, v2
	Endpoint string // of kms
	Keys     []string

	marks   []string        // of what it reads; the first is that of what it writes
	secrets []redact.Secret // of Keys
}

// Secret is the key itself of Keys[i], decoded.
func (p *Provider) Secret(i int) redact.Secret { return p.secrets[i] }

// clear is the mark of what is not encrypted.
const inClear = "identity"

// String is for people: "kms strongkeep", "aescbc (keys old, new)".
func (p Provider) String() string {
	switch {
	case p.Kind == "kms" && p.Version == "v1":
		return "kms v1 " + p.Name
	case p.Kind == "kms":
		return "kms " + p.Name
	case len(p.Keys) > 0:
		return p.Kind + " (keys " + strings.Join(p.Keys, ", ") + ")"
	}
	return p.Kind
}

// Unders are what it can read, as stored values are named by encryption/stored: clear,
// kms-v2/NAME, aescbc/KEY; in the order of its keys.
func (p Provider) Unders() []string {
	switch {
	case p.Kind == "kms":
		return []string{"kms-" + p.Version + "/" + p.Name}
	case p.Clear():
		return []string{"clear"}
	}
	var out []string
	for _, key := range p.Keys {
		out = append(out, p.Kind+"/"+key)
	}
	return out
}

// Clear reports that what it writes is not encrypted.
func (p Provider) Clear() bool { return p.Kind == "identity" }

// Text is the file's content, with its keys.
func (f *File) Text() redact.Secret { return f.text }

// GoString keeps the content out of what is printed with %#v.
func (f *File) GoString() string { return fmt.Sprintf("config.File(%s, %s)", f.Place, f.Hash) }

// Format keeps it out of all else.
func (f *File) Format(s fmt.State, _ rune) { _, _ = fmt.Fprint(s, f.GoString()) }

// Parse reads a file as an API server with automatic reload does. What such a one does
// not take is Invalid (or TooLarge), with the place, the line and nothing of the
// content but names.
func Parse(place string, text []byte) (*File, error) {
	if len(text) > largest {
		return nil, errs.Newf(errs.TooLarge, "%s: it is over %d MiB, and no EncryptionConfiguration is: name the right file", place, largest>>20)
	}
	root, err := tree(text)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "%s%w", place, err)
	}
	config, err := decode(text, root)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "%s%w", place, err)
	}
	if err := validate(config, root); err != nil {
		return nil, errs.Newf(errs.KindOf(err), "%s%w", place, err)
	}
	f := &File{Place: place, Hash: Hash(text), text: redact.New(slices.Clone(text))}
	for i := range config.Resources {
		r := &config.Resources[i]
		e := Entry{Line: lineAt(root, "resources", i), Resources: slices.Clone(r.Resources)}
		for j := range r.Providers {
			e.Providers = append(e.Providers, provider(&r.Providers[j], lineAt(root, "resources", i, "providers", j)))
		}
		f.Entries = append(f.Entries, e)
	}
	return f, nil
}

// Hash is what API servers tell of a file with this content.
func Hash(text []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(text)) }

func provider(p *apiserverv1.ProviderConfiguration, line int) Provider {
	switch {
	case p.KMS != nil:
		return Provider{Line: line, Kind: "kms", Name: p.KMS.Name, Version: p.KMS.APIVersion, Endpoint: p.KMS.Endpoint, marks: []string{mark("kms", p.KMS.APIVersion, p.KMS.Name)}}
	case p.AESGCM != nil:
		return keyed(line, "aesgcm", p.AESGCM.Keys)
	case p.AESCBC != nil:
		return keyed(line, "aescbc", p.AESCBC.Keys)
	case p.Secretbox != nil:
		return keyed(line, "secretbox", p.Secretbox.Keys)
	}
	return Provider{Line: line, Kind: "identity", marks: []string{inClear}}
}

func keyed(line int, kind string, keys []apiserverv1.Key) Provider {
	p := Provider{Line: line, Kind: kind}
	for _, k := range keys {
		p.Keys = append(p.Keys, k.Name)
		p.marks = append(p.marks, mark(kind, k.Name, k.Secret))
		secret, _ := base64.StdEncoding.DecodeString(k.Secret) // which validation has done
		p.secrets = append(p.secrets, redact.New(secret))
	}
	return p
}

// mark is the same for providers that read each other's, and different for all others.
func mark(kind, name, more string) string {
	return kind + ":" + fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%d:%s%s", len(name), name, more)))
}

// everything is the widest wildcard.
var everything = schema.GroupResource{Group: "*", Resource: "*"}

// written is a resource as it is named in a file.
func written(gr schema.GroupResource) string {
	if gr.Group == "" && gr.Resource != "*" {
		return gr.Resource
	}
	return gr.Resource + "." + gr.Group
}

// covers are the names by which an API server looks for a resource, in its order.
func covers(resource string) []schema.GroupResource {
	gr := schema.ParseGroupResource(resource)
	all := []schema.GroupResource{gr}
	for _, wide := range []schema.GroupResource{{Group: gr.Group, Resource: "*"}, everything} {
		if !slices.Contains(all, wide) {
			all = append(all, wide)
		}
	}
	return all
}

// entries returns the entries that decide about a resource, in their order, and the
// name by which they do.
func (f *File) entries(resource string) (found []int, name string) {
	for _, want := range covers(resource) {
		for i := range f.Entries {
			for _, r := range f.Entries[i].Resources {
				if schema.ParseGroupResource(r) == want && !slices.Contains(found, i) {
					found, name = append(found, i), r
				}
			}
		}
		if len(found) > 0 {
			return found, name
		}
	}
	return nil, ""
}

// Providers returns those of a resource: the first one writes, all read. A resource
// that is not in the file is stored in the clear, by one provider without a line.
func (f *File) Providers(resource string) []Provider {
	found, _ := f.entries(resource)
	var out []Provider
	for _, i := range found {
		out = append(out, f.Entries[i].Providers...)
	}
	if len(out) == 0 {
		return []Provider{{Kind: "identity", marks: []string{inClear}}}
	}
	return out
}

// Resources are all names that are in the file, sorted.
func (f *File) Resources() []string {
	var all []string
	for i := range f.Entries {
		all = append(all, f.Entries[i].Resources...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
