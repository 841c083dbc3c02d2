package read

import (
	"bytes"
	"context"
	"reflect"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// encoded is an object as the API server sent it, in protobuf. A page of them is cut up
// as soon as it is there, so that the next one is asked for before any of them is decoded,
// and so that no page is ever decoded whole.
type encoded []byte

// message is *O, which decodes itself.
type message[O any] interface {
	*O
	Unmarshal(data []byte) error
}

// builtin is a step that lists k, a resource of Kubernetes' own, by its client. k has no
// list of its own. Its records keep no pointer to the object that they are made of, only
// what that points to.
func builtin[O any, P message[O], R any](l *live, client rest.Interface, k kind[O, R]) func(context.Context) error {
	objects := sync.Pool{New: func() any { return new(O) }}
	return step(l, kind[encoded, R]{
		resource: k.resource, global: k.global, extra: k.extra, keep: k.keep, list: pageOf(client, k.resource, reflect.TypeFor[O]().Name()+"List"),
		size: func(raw *encoded) int { return len(*raw) },
		record: func(raw *encoded) (R, bool, error) {
			o := objects.Get().(*O)
			defer func() {
				var none O
				*o = none
				objects.Put(o)
			}()
			if err := P(o).Unmarshal(*raw); err != nil {
				var none R
				return none, false, errs.Newf(errs.Unavailable, "decoding an object that the API server sent: %w", err)
			}
			return k.record(o)
		},
	})
}

// pageOf lists a resource. What is answered has to be a list of that kind: another one may
// be decoded as if it were, and would hold less than there is.
func pageOf(client rest.Interface, resource, listKind string) func(context.Context, string, metav1.ListOptions) ([]encoded, string, error) {
	return func(ctx context.Context, ns string, o metav1.ListOptions) ([]encoded, string, error) {
		answer := client.Get().NamespaceIfScoped(ns, ns != "").Resource(resource).VersionedParams(&o, scheme.ParameterCodec).Do(ctx)
		if err := answer.Error(); err != nil {
			return nil, "", err
		}
		body, err := answer.Raw()
		if err != nil {
			return nil, "", err
		}
		list, is, err := inProtobuf(body)
		if err != nil {
			return nil, "", err
		}
		if want := client.APIVersion().WithKind(listKind); is != want {
			return nil, "", errs.Newf(errs.Unavailable, "the API server was asked for a %s of %s and answered with a %.100q of %.100q", want.Kind, want.GroupVersion(), is.Kind, is.GroupVersion())
		}
		return split(list)
	}
}

// magic begins what Kubernetes sends in protobuf.
var magic = []byte("k8s\x00")

// The numbers of fields: of runtime.Unknown, which is around everything that is sent; of
// what it has before that; of each list.
const (
	fieldType  = 1
	fieldRaw   = 2
	fieldAPI   = 1
	fieldKind  = 2
	fieldMeta  = 1
	fieldItems = 2
)

// inProtobuf is the list in what an API server answered, and of what kind that says it is. One that
// knows no protobuf answers in JSON.
func inProtobuf(body []byte) (list []byte, is schema.GroupVersionKind, err error) {
	if rest, ok := bytes.CutPrefix(body, magic); ok {
		return unwrap(rest)
	}
	o, gvk, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
	if err != nil {
		return nil, is, errs.Newf(errs.Unavailable, "decoding what the API server answered: %w", err)
	}
	encoder, ok := o.(interface{ Marshal() ([]byte, error) })
	if !ok {
		return nil, is, errs.Newf(errs.Unavailable, "decoding what the API server answered: %T is no list", o)
	}
	list, err = encoder.Marshal()
	return list, *gvk, err
}

// unwrap takes a list out of the runtime.Unknown around it.
func unwrap(unknown []byte) (list []byte, is schema.GroupVersionKind, err error) {
	var version, kind string
	err = fields(unknown, func(n protowire.Number, value []byte) error {
		switch n {
		case fieldRaw:
			list = value
		case fieldType:
			return fields(value, func(n protowire.Number, text []byte) error {
				switch n {
				case fieldAPI:
					version = string(text)
				case fieldKind:
					kind = string(text)
				}
				return nil
			})
		}
		return nil
	})
	if err == nil && list == nil {
		err = errs.New(errs.Unavailable, "the API server's answer to a list is cut off")
	}
	return list, schema.FromAPIVersionAndKind(version, kind), err
}

// split cuts a list into its objects, which are parts of it. next is where it goes on, ""
// nowhere.
func split(list []byte) (objects []encoded, next string, err error) {
	var meta metav1.ListMeta
	objects = make([]encoded, 0, page)
	err = fields(list, func(n protowire.Number, value []byte) error {
		switch n {
		case fieldMeta:
			return meta.Unmarshal(value)
		case fieldItems:
			objects = append(objects, value)
		}
		return nil
	})
	return objects, meta.Continue, err
}

// fields calls f with those fields of a message that are messages or bytes themselves.
func fields(m []byte, f func(protowire.Number, []byte) error) error {
	for len(m) > 0 {
		n, kind, tag := protowire.ConsumeTag(m)
		if tag < 0 {
			return cutOff(tag)
		}
		size := protowire.ConsumeFieldValue(n, kind, m[tag:])
		if size < 0 {
			return cutOff(size)
		}
		if kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(m[tag:])
			if err := f(n, value); err != nil {
				return errs.Newf(errs.Unavailable, "decoding what the API server answered: %w", err)
			}
		}
		m = m[tag+size:]
	}
	return nil
}

func cutOff(code int) error {
	return errs.Newf(errs.Unavailable, "decoding what the API server answered: %w", protowire.ParseError(code))
}
