package rescue

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

// pageSize is how many objects are listed at once: what is behind one that does not
// decrypt is read again.
const pageSize = 200

// Names finds what an API server cannot read, without etcd: by the errors of LISTs that
// each begin behind the last name. Under which key it is, and whether the key is gone or
// away for a moment, is not known, so that all is NotKnown.
func Names(ctx context.Context, s *Servers, resources []string) (*Report, error) {
	one := s.all[0]
	r := &Report{Origin: stored.Origin{Source: "API server at " + one.url}, Servers: []string{one.url}}
	for _, resource := range resources {
		if err := one.names(ctx, resource, r); err != nil {
			return nil, err
		}
	}
	r.sort()
	return r, nil
}

func (s *server) names(ctx context.Context, resource string, r *Report) error {
	gvr, namespaced, err := s.resolve(resource)
	if err != nil {
		return err
	}
	from := s.meta.Resource(gvr)
	for token := behind("!"); token != ""; { // before all names
		page, err := from.List(ctx, metav1.ListOptions{Limit: pageSize, Continue: token})
		if err == nil {
			if token = ""; page.Continue != "" && len(page.Items) > 0 {
				token = behind(nameOf(&page.Items[len(page.Items)-1]) + "\x00")
			}
			continue
		}
		broken := unreadable(err, namespaced)
		if len(broken) == 0 {
			return s.unnamed(err, resource)
		}
		for _, name := range broken {
			if err := s.confirm(ctx, stored.Object{Resource: resource, Name: name}, r); err != nil {
				return err
			}
		}
		next := behind(broken[len(broken)-1] + "\x00")
		if next == token {
			return s.unnamed(err, resource)
		}
		token = next
	}
	return nil
}

// confirm reads one that a LIST could not.
func (s *server) confirm(ctx context.Context, o stored.Object, r *Report) error {
	if slices.ContainsFunc(r.Unknown, func(f Finding) bool { return f.Object == o }) {
		return nil
	}
	reads, err := s.reads(ctx, o)
	if errors.Is(err, errUnclear) { // LIST has said it
		reads, err = false, nil
	}
	if err != nil && !errs.Is(err, errs.Conflict) || reads { // deleted, or readable, meanwhile
		return err
	}
	f := Finding{Object: o, State: NotKnown, Why: "the API server cannot read it: under which key it is, etcd or a snapshot tells (-etcd, -snapshot)"}
	f.Do = []string{"find out first: are all plugins well (strongkeep kms doctor), and is every provider in the EncryptionConfiguration?"}
	r.Unknown = append(r.Unknown, f)
	return nil
}

func (s *server) unnamed(err error, resource string) error {
	if apierrors.IsInternalError(err) || apierrors.ReasonForError(err) == metav1.StatusReasonStoreReadError {
		return errs.Newf(errs.Unavailable, "listing %s: the API server at %s cannot, and does not name the object: read etcd (-etcd) or a snapshot (-snapshot)", resource, s.url)
	}
	return s.explain(err, "listing "+resource)
}

// behind is a continue token of a list that begins at a key, below that of the resource,
// of etcd as it is now. Its format is public (k8s.io/apiserver/pkg/storage/continue.go:
// "This is a public API struct and cannot change").
func behind(start string) string {
	raw, _ := json.Marshal(map[string]any{"v": "meta.k8s.io/v1", "rv": -1, "start": start}) // never fails
	return base64.RawURLEncoding.EncodeToString(raw)
}

func nameOf(o *metav1.PartialObjectMetadata) string {
	if o.Namespace == "" {
		return o.Name
	}
	return o.Namespace + "/" + o.Name
}

// unreadable are the names of what a LIST could not read, in the order of their keys: all
// of a page where the API server has AllowUnsafeMalformedObjectDeletion, else the first.
func unreadable(err error, namespaced bool) (names []string) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return nil
	}
	answer := status.Status()
	if answer.Reason == metav1.StatusReasonStoreReadError && answer.Details != nil {
		for _, c := range answer.Details.Causes {
			if c.Type == metav1.CauseTypeUnexpectedServerResponse {
				names = append(names, named(c.Field, namespaced))
			}
		}
	} else if _, rest, ok := strings.Cut(answer.Message, "unable to transform key "); ok {
		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			key, _ := strconv.Unquote(quoted) // it is quoted
			names = append(names, named(key, namespaced))
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}

// named is the name at the end of a key of etcd.
func named(key string, namespaced bool) string {
	parts := strings.Split(key, "/")
	n := 1
	if namespaced {
		n = 2
	}
	if len(parts) < n+2 {
		return ""
	}
	return strings.Join(parts[len(parts)-n:], "/")
}
