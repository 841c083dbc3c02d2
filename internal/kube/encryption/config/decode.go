package config

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// at is an Invalid that begins with a line; 0 is none.
func at(line int, format string, args ...any) error {
	where := ": "
	if line > 0 {
		where = ":" + strconv.Itoa(line) + ": "
	}
	return errs.New(errs.Invalid, where+fmt.Sprintf(format, args...))
}

// tree is the text with its lines. The parser's own words may quote it.
func tree(text []byte) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		near, line := "", 0
		if n, _ := fmt.Sscanf(err.Error(), "yaml: line %d:", &line); n == 1 { // now and then the one before
			near = ", near line " + itoa(line)
		}
		return nil, at(0, "this is not YAML, or it was cut off%s", near)
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, at(0, "it has to be an EncryptionConfiguration of apiVersion apiserver.config.k8s.io/v1")
	}
	return doc.Content[0], nil
}

// decoder is Kubernetes' own, made once.
var decoder = sync.OnceValues(func() (runtime.Decoder, error) {
	scheme := runtime.NewScheme()
	if err := apiserverv1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer(), nil
})

// decode has Kubernetes decode and default the text.
func decode(text []byte, root *yaml.Node) (*apiserverv1.EncryptionConfiguration, error) {
	d, err := decoder()
	if err != nil {
		return nil, errs.Newf(errs.Internal, ": making a decoder: %w", err)
	}
	o, _, err := d.Decode(text, nil, nil)
	config, ok := o.(*apiserverv1.EncryptionConfiguration)
	switch {
	case err == nil && ok:
	case err == nil, runtime.IsNotRegisteredError(err), runtime.IsMissingKind(err), runtime.IsMissingVersion(err):
		return nil, at(lineAt(root, "kind"), "it has to be of apiVersion apiserver.config.k8s.io/v1 and kind EncryptionConfiguration")
	default:
		// The decoder's own words may quote the file, hence ours.
		if line, wrong := misshapen(root, document, ""); wrong != "" {
			return nil, at(line, "%s", wrong)
		}
		return nil, at(0, "Kubernetes cannot decode it: a field has the wrong type")
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

// lineAt is the line of what is at a path of names and indexes, or of what is nearest
// around it. A field's line is that of its name.
func lineAt(node *yaml.Node, path ...any) int {
	line := node.Line
	for _, step := range path {
		for node.Kind == yaml.AliasNode {
			node = node.Alias
		}
		key, next := child(node, step)
		if next == nil {
			return line
		}
		line, node = key.Line, next
	}
	return line
}

// child is what is below a node, and what has its line.
func child(node *yaml.Node, step any) (key, value *yaml.Node) {
	switch step := step.(type) {
	case int:
		if node.Kind == yaml.SequenceNode && step < len(node.Content) {
			return node.Content[step], node.Content[step]
		}
	case string:
		if node.Kind != yaml.MappingNode {
			return nil, nil
		}
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == step {
				return node.Content[i], node.Content[i+1]
			}
		}
	}
	return nil, nil
}

// shape is what a node has to be: a mapping of fields, a list of elements, or, with
// neither, a single value.
type shape struct {
	fields  map[string]*shape
	element *shape
}

var (
	single   = &shape{}
	keys     = &shape{fields: map[string]*shape{"keys": {element: &shape{fields: map[string]*shape{"name": single, "secret": single}}}}}
	document = &shape{fields: map[string]*shape{
		"apiVersion": single, "kind": single,
		"resources": {element: &shape{fields: map[string]*shape{
			"resources": {element: single},
			"providers": {element: &shape{fields: map[string]*shape{
				"aesgcm": keys, "aescbc": keys, "secretbox": keys, "identity": {fields: map[string]*shape{}},
				"kms": {fields: map[string]*shape{"apiVersion": single, "name": single, "cachesize": single, "endpoint": single, "timeout": single}},
			}}},
		}}},
	}}
)

// misshapen finds where a node is not what it has to be; "" if it does not see it. It
// only looks for the line: whether something is wrong has been decided.
func misshapen(node *yaml.Node, want *shape, name string) (line int, wrong string) {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	kind, has := want.kind()
	switch {
	case node.Kind == yaml.ScalarNode && node.Tag == "!!null":
		return 0, ""
	case node.Kind != kind:
		return node.Line, name + " has to " + has
	case want.fields != nil:
		return misnamed(node, want, name)
	}
	for i, n := range node.Content { // of a list
		if line, wrong = misshapen(n, want.element, fmt.Sprintf("%s[%d]", name, i)); wrong != "" {
			return line, wrong
		}
	}
	return 0, ""
}

// kind is what has the shape, in YAML and for people.
func (s *shape) kind() (kind yaml.Kind, has string) {
	switch {
	case s.fields != nil:
		return yaml.MappingNode, "have fields"
	case s.element != nil:
		return yaml.SequenceNode, "be a list"
	}
	return yaml.ScalarNode, "be a single value"
}

// misnamed looks at the fields of a mapping. An unknown one is not named: it may be a
// key in the wrong place.
func misnamed(node *yaml.Node, want *shape, name string) (line int, wrong string) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		inner := strings.TrimPrefix(name+"."+key.Value, ".")
		next := want.fields[key.Value]
		switch {
		case next == nil && key.Value != "<<":
			return key.Line, "a field is unknown" + strings.TrimSuffix(" in "+name, " in ")
		case seen[key.Value]:
			return key.Line, inner + " is there twice"
		case next == nil:
			continue
		}
		seen[key.Value] = true
		if line, wrong = misshapen(node.Content[i+1], next, inner); wrong != "" {
			return line, wrong
		}
	}
	return 0, ""
}
