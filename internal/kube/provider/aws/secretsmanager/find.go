package secretsmanager

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongkeep/strongkeep/internal/cloud/aws/wire"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/access"
)

// maxFilters is how many filters one call takes.
const maxFilters = 10

// Find lists the secrets whose keys begin with q.Path and match the rest, and reads
// them twenty at a time, where that is allowed.
func (s *Store) Find(ctx context.Context, q provider.Query) ([]provider.Found, error) {
	matches, err := q.Matcher()
	if err != nil {
		return nil, err
	}
	in := &sm.ListSecretsInput{Filters: filters(s.cfg.Prefix+q.Path, q.Tags), MaxResults: aws.Int32(100)}
	pages := wire.Pages{}
	var names []string
	for {
		page, err := access.Do(ctx, s.cfg.Access, "listing secrets of Secrets Manager",
			func(ctx context.Context) (*sm.ListSecretsOutput, error) { return s.client.ListSecrets(ctx, in) })
		if err != nil {
			return nil, wire.Cut(err)
		}
		some, err := s.matching(page.SecretList, q, matches)
		if err != nil {
			return nil, err
		}
		names = append(names, some...)
		if in.NextToken, err = pages.Next(page.NextToken); err != nil {
			return nil, err
		}
		if in.NextToken == nil {
			break
		}
	}
	slices.Sort(names)
	return s.values(ctx, slices.Compact(names))
}

// matching returns the names of those of a page that q asks for.
func (s *Store) matching(page []types.SecretListEntry, q provider.Query, matches func(string) bool) ([]string, error) {
	if page == nil { // an empty list is one
		return nil, wire.NoAnswer("listing secrets of Secrets Manager")
	}
	var names []string
	for _, e := range page {
		name := aws.ToString(e.Name)
		if name == "" {
			return nil, wire.NoAnswer("listing secrets of Secrets Manager")
		}
		key, ours := strings.CutPrefix(name, s.cfg.Prefix)
		if ours && e.DeletedDate == nil && strings.HasPrefix(key, q.Path) && q.Tags.In(pairs(e.Tags)) && matches(key) {
			names = append(names, name)
		}
	}
	return names, nil
}

// filters let the service leave out what cannot match. They match words of tags
// apart from each other and any case, so what it sends is looked at again; a value
// with "!" in front would mean its contrary.
func filters(path string, tags provider.Tags) []types.Filter {
	var f []types.Filter
	add := func(key types.FilterNameStringType, value string) {
		if len(f) < maxFilters && value != "" && !strings.HasPrefix(value, "!") {
			f = append(f, types.Filter{Key: key, Values: []string{value}})
		}
	}
	add(types.FilterNameStringTypeName, path)
	for name, value := range tags.Map() {
		add(types.FilterNameStringTypeTagKey, name)
		add(types.FilterNameStringTypeTagValue, value)
	}
	return f
}

// values adds the values to names, as far as they can be had together.
func (s *Store) values(ctx context.Context, names []string) ([]provider.Found, error) {
	found := make([]provider.Found, 0, len(names))
	for some := range slices.Chunk(names, batchSize) {
		got := s.ask(ctx, some)
		for _, name := range some {
			f := provider.Found{Key: strings.TrimPrefix(name, s.cfg.Prefix)}
			if a, ok := got[name]; ok {
				switch {
				case errs.Is(a.err, errs.NotExist): // deleted meanwhile
					continue
				case a.err != nil:
					return nil, a.err
				}
				f.Value = &a.value
			}
			found = append(found, f)
		}
	}
	return found, nil
}
