package kubernetes

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Read reads one Secret. Its resourceVersion is the version; no other is kept.
func (s *store) Read(ctx context.Context, req provider.Request) (provider.Value, error) {
	if req.Version != "" {
		if _, err := strconv.ParseUint(req.Version, 10, 64); err != nil {
			return provider.Value{}, errs.Newf(errs.Invalid, "version %.40q of %q: a Secret has no versions but its resourceVersion: leave version out", req.Version, req.Key)
		}
	}
	var secret *corev1.Secret
	err := s.retry.Read(ctx, s.clock, func() (err error) {
		secret, err = s.get(ctx, req.Key)
		return err
	})
	switch {
	case err != nil:
		return provider.Value{}, err
	case req.Version != "" && req.Version != secret.ResourceVersion:
		return provider.Value{}, errs.Newf(errs.NotExist, "Secret %q has no version %q any more, which is %s now: leave version out", req.Key, req.Version, secret.ResourceVersion)
	case req.Metadata:
		return metadata(secret)
	}
	return value(secret)
}

// checkName refuses what cannot name a Secret, which could name something else.
func checkName(key string) error {
	if key == "" {
		return errs.New(errs.Invalid, "key is missing: name a Secret")
	}
	if problems := validation.IsDNS1123Subdomain(key); len(problems) > 0 {
		return errs.Newf(errs.Invalid, "key %.260q is no name of a Secret: it has lower-case letters, digits, '-' and '.' only", key)
	}
	return nil
}

// get reads one Secret. What comes must be what was asked for.
func (s *store) get(ctx context.Context, name string) (*corev1.Secret, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	c := call{doing: fmt.Sprintf("reading Secret %q of namespace %q at %s", name, s.namespace, s.where), name: name, words: true}
	raw, err := s.do(ctx, c, s.rest.Get().Namespace(s.namespace).Resource("secrets").Name(name))
	if err != nil {
		return nil, err
	}
	secret := &corev1.Secret{}
	if json.Unmarshal(raw, secret) != nil || secret.Kind != "Secret" || secret.Name != name || !whole(secret) {
		return nil, c.garbage()
	}
	return secret, nil
}

// whole reports whether secret has what every Secret has that was stored.
func whole(secret *corev1.Secret) bool { return secret.ResourceVersion != "" && secret.UID != "" }

// value returns the parts of a Secret.
func value(secret *corev1.Secret) (provider.Value, error) {
	v := provider.Value{Version: secret.ResourceVersion, Parts: make(map[string]redact.Secret, len(secret.Data))}
	texts, text := make(map[string]string, len(secret.Data)), true
	for key, part := range secret.Data {
		v.Parts[key] = redact.New(part)
		texts[key] = string(part)
		text = text && utf8.Valid(part)
	}
	if !text {
		return v, nil
	}
	raw, err := json.Marshal(texts)
	if err != nil {
		return v, errs.New(errs.Internal, "encoding a Secret as JSON")
	}
	v.Data = redact.New(raw)
	return v, nil
}

// metadata returns labels and annotations as a JSON object. What kubectl apply notes
// down of a Secret is left out, for it holds the values.
func metadata(secret *corev1.Secret) (provider.Value, error) {
	m := map[string]map[string]string{"labels": {}, "annotations": {}}
	for key, value := range secret.Labels {
		m["labels"][key] = value
	}
	for key, value := range secret.Annotations {
		if key != corev1.LastAppliedConfigAnnotation {
			m["annotations"][key] = value
		}
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return provider.Value{}, errs.New(errs.Internal, "encoding metadata as JSON")
	}
	return provider.Value{Data: redact.New(raw), Version: secret.ResourceVersion}, nil
}

const (
	// pageSize is how many Secrets are asked for at once; each has at most 1 MiB.
	pageSize = 50
	// maxCarried is how many bytes of values a search brings; those of further matches
	// are read one by one, by whom bounds them.
	maxCarried = 16 << 20
)

// bounds are what one search may come to, whatever the server says of further pages.
type bounds struct{ pages, secrets, bytes int }

func searching() bounds { return bounds{pages: 10_000, secrets: 100_000, bytes: 1 << 30} }

// less takes a page of that many Secrets and bytes off what is left.
func (b *bounds) less(secrets, bytes int) error {
	b.pages, b.secrets, b.bytes = b.pages-1, b.secrets-secrets, b.bytes-bytes
	if b.pages < 0 || b.secrets < 0 || b.bytes < 0 {
		most := searching()
		return errs.Newf(errs.TooLarge, "there is no end of them within %d pages, %d Secrets and %d MiB: narrow the search by find.tags, which are labels, or name the Secrets",
			most.pages, most.secrets, most.bytes>>20)
	}
	return nil
}

// Find searches the names of the namespace's Secrets, of which q.Path is the beginning,
// and their labels.
func (s *store) Find(ctx context.Context, q provider.Query) ([]provider.Found, error) {
	match, err := q.Matcher()
	if err != nil {
		return nil, err
	}
	selector := labels.Everything()
	if q.Tags != "" {
		if selector, err = labels.ValidatedSelectorFromSet(q.Tags.Map()); err != nil {
			return nil, errs.New(errs.Invalid, "find.tags: a name or value in it is none that a label of a Secret can have")
		}
	}
	var found []provider.Found
	carried := 0
	err = s.each(ctx, selector.String(), func(secret *corev1.Secret) error {
		if !strings.HasPrefix(secret.Name, q.Path) || !match(secret.Name) {
			return nil
		}
		f := provider.Found{Key: secret.Name}
		v, err := value(secret)
		if err != nil {
			return err
		}
		if carried += v.Len(); carried <= maxCarried {
			f.Value = &v
		}
		found = append(found, f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b provider.Found) int { return cmp.Compare(a.Key, b.Key) })
	return found, nil
}

// each calls f with every Secret that the selector selects. All pages are read.
func (s *store) each(ctx context.Context, selector string, f func(*corev1.Secret) error) error {
	next, left := "", s.bounds
	for {
		var page *corev1.SecretList
		var size int
		err := s.retry.Read(ctx, s.clock, func() (err error) {
			page, size, err = s.page(ctx, selector, next)
			return err
		})
		if err != nil {
			return err
		}
		if err := left.less(len(page.Items), size); err != nil {
			return errs.Newf(errs.KindOf(err), "%s: %w", s.searching(), err)
		}
		for i := range page.Items {
			if err := f(&page.Items[i]); err != nil {
				return err
			}
		}
		if next = page.Continue; next == "" {
			return nil
		}
	}
}

func (s *store) searching() string {
	return fmt.Sprintf("searching the Secrets of namespace %q at %s", s.namespace, s.where)
}

// page reads one page, which came as size bytes.
func (s *store) page(ctx context.Context, selector, next string) (page *corev1.SecretList, size int, err error) {
	c := call{doing: s.searching(), words: true}
	req := s.rest.Get().Namespace(s.namespace).Resource("secrets").Param("limit", strconv.Itoa(pageSize))
	if selector != "" {
		req = req.Param("labelSelector", selector)
	}
	if next != "" {
		req = req.Param("continue", next)
	}
	raw, err := s.do(ctx, c, req)
	switch {
	case errs.Is(err, errs.NotExist):
		return nil, 0, errs.As(errs.Unavailable, err) // a search that finds nothing is no error
	case err != nil:
		return nil, 0, err
	}
	page = &corev1.SecretList{}
	if json.Unmarshal(raw, page) != nil || page.Kind != "SecretList" || page.ResourceVersion == "" || next != "" && page.Continue == next {
		return nil, 0, c.garbage()
	}
	for i := range page.Items {
		if !s.holds(&page.Items[i]) {
			return nil, 0, c.garbage()
		}
	}
	return page, len(raw), nil
}

// holds reports whether secret is one of the namespace.
func (s *store) holds(secret *corev1.Secret) bool {
	return checkName(secret.Name) == nil && secret.Namespace == s.namespace && whole(secret)
}
