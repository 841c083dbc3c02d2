package keyvault

import (
	"context"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// maxPages bounds a search: with 25 entries a page, a hundred thousand.
const maxPages = 4000

const listing = "listing secrets of Key Vault"

// Find lists the secrets that are enabled, whose names begin with q.Path and match the
// rest. Key Vault itself does not search.
func (s *Store) Find(ctx context.Context, q provider.Query) ([]provider.Found, error) { //nolint:cyclop // flat: a case after the other
	matches, err := q.Matcher()
	if err != nil {
		return nil, err
	}
	var keys []string
	pager, last := s.secrets.NewListSecretPropertiesPager(nil), ""
	for n := 0; pager.More(); n++ {
		page, err := next(ctx, pager)
		if err != nil {
			return nil, err
		}
		for _, e := range page.Value {
			if e == nil || e.ID == nil || e.ID.Name() == "" {
				return nil, errs.Newf(errs.Unavailable, "%s: the answer has one without a name", listing)
			}
			off := e.Attributes != nil && e.Attributes.Enabled != nil && !*e.Attributes.Enabled
			if name := e.ID.Name(); !off && strings.HasPrefix(name, q.Path) && q.Tags.In(tagsOf(e.Tags)) && matches(name) {
				keys = append(keys, name)
			}
		}
		if page.NextLink == nil || *page.NextLink == "" {
			break
		}
		if *page.NextLink == last || n > maxPages {
			return nil, errs.Newf(errs.Unavailable, "%s: the pages have no end", listing)
		}
		last = *page.NextLink
	}
	slices.Sort(keys)
	var found []provider.Found
	for _, key := range slices.Compact(keys) {
		found = append(found, provider.Found{Key: key})
	}
	return found, nil
}

// next asks for one page. A search that did not come to its end never means that there
// is nothing.
func next(ctx context.Context, pager *runtime.Pager[azsecrets.ListSecretPropertiesResponse]) (azsecrets.ListSecretPropertiesResponse, error) {
	page, err := do(ctx, listing, pager.NextPage)
	switch {
	case errs.Is(err, errs.NotExist):
		return page, errs.As(errs.Unavailable, err)
	case err == nil && page.Value == nil: // an empty list is one
		return page, errs.Newf(errs.Unavailable, "%s: the answer has no list", listing)
	}
	return page, err
}

// Check asks for one page of names. Who may read single secrets and not list them is
// told that there is no way to tell.
func (s *Store) Check(ctx context.Context) error {
	_, err := next(ctx, s.secrets.NewListSecretPropertiesPager(nil))
	if errs.Is(err, errs.Denied) {
		return errs.Newf(errs.Unsupported, "%w without the permission to list: %w", provider.ErrUnverifiable, err)
	}
	return err
}
