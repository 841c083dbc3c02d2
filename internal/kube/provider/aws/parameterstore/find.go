package parameterstore

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/strongkeep/strongkeep/internal/cloud/aws/wire"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// search is one Find.
type search struct {
	store   *Store
	query   provider.Query
	matches func(key string) bool
	folder  string // where the service looks, such as "/" or "/team"
	found   map[string]provider.Found
}

// Find returns the parameters below the folder q.Path, the whole store without one,
// that match the rest. It needs ssm:GetParametersByPath for the folder, or for tags
// ssm:DescribeParameters, which also serves where the former is denied.
func (s *Store) Find(ctx context.Context, q provider.Query) ([]provider.Found, error) {
	f := &search{store: s, query: q, folder: folder(s.cfg.Prefix, q.Path), found: map[string]provider.Found{}}
	var err error
	if f.matches, err = q.Matcher(); err != nil {
		return nil, err
	}
	if q.Tags == "" && strings.HasPrefix(f.folder, "/") {
		err = f.byPath(ctx)
	}
	if q.Tags != "" || !strings.HasPrefix(f.folder, "/") || errs.Is(err, errs.Denied) {
		clear(f.found)
		err = f.byDescription(ctx)
	}
	if err != nil {
		return nil, wire.Cut(err)
	}
	found := make([]provider.Found, 0, len(f.found))
	for _, one := range f.found {
		found = append(found, one)
	}
	slices.SortFunc(found, func(a, b provider.Found) int { return strings.Compare(a.Key, b.Key) })
	return found, nil
}

// folder returns the folder that holds all that can match.
func folder(prefix, path string) string {
	whole := prefix + path
	if path == "" { // a prefix may end within a name
		whole = prefix[:strings.LastIndexByte(prefix, '/')+1]
	}
	if trimmed := strings.TrimRight(whole, "/"); trimmed != "" {
		return trimmed
	}
	return "/"
}

// key returns what Read takes for name, "" when it does not match.
func (f *search) key(name string) string {
	if f.folder != "/" && !strings.HasPrefix(name, f.folder+"/") {
		return ""
	}
	key, ours := strings.CutPrefix(name, f.store.cfg.Prefix)
	if !ours || !f.matches(key) {
		return ""
	}
	return key
}

func (f *search) byPath(ctx context.Context) error {
	in := &ssm.GetParametersByPathInput{Path: &f.folder, Recursive: aws.Bool(true), WithDecryption: aws.Bool(true), MaxResults: aws.Int32(10)}
	pages := wire.Pages{}
	for {
		page, err := do(ctx, f.store, "reading the parameters below "+f.folder, func(ctx context.Context) (*ssm.GetParametersByPathOutput, error) {
			return f.store.client.GetParametersByPath(ctx, in)
		})
		if err != nil {
			return err
		}
		if page.Parameters == nil { // an empty list is one
			return wire.NoAnswer("searching Parameter Store")
		}
		for _, p := range page.Parameters {
			name := aws.ToString(p.Name)
			v, err := value(name, &p)
			if err != nil || name == "" {
				return errs.New(errs.Unavailable, "searching Parameter Store: a parameter has no name or no value")
			}
			if key := f.key(name); key != "" {
				f.found[name] = provider.Found{Key: key, Value: &v}
			}
		}
		if in.NextToken, err = pages.Next(page.NextToken); err != nil || in.NextToken == nil {
			return err
		}
	}
}

func (f *search) byDescription(ctx context.Context) error {
	in := &ssm.DescribeParametersInput{ParameterFilters: f.filters(), MaxResults: aws.Int32(50)}
	pages := wire.Pages{}
	for {
		page, err := do(ctx, f.store, "describing parameters", func(ctx context.Context) (*ssm.DescribeParametersOutput, error) {
			return f.store.client.DescribeParameters(ctx, in)
		})
		if err != nil {
			return err
		}
		if page.Parameters == nil {
			return wire.NoAnswer("searching Parameter Store")
		}
		for _, p := range page.Parameters {
			name := aws.ToString(p.Name)
			if name == "" {
				return errs.New(errs.Unavailable, "searching Parameter Store: a parameter has no name")
			}
			if key := f.key(name); key != "" {
				f.found[name] = provider.Found{Key: key}
			}
		}
		if in.NextToken, err = pages.Next(page.NextToken); err != nil {
			return err
		}
		if in.NextToken == nil {
			if err := f.verify(ctx); err != nil {
				return err
			}
			return f.values(ctx)
		}
	}
}

func (f *search) filters() []types.ParameterStringFilter {
	var filters []types.ParameterStringFilter
	switch {
	case f.folder == "/":
	case strings.HasPrefix(f.folder, "/"):
		filters = append(filters, types.ParameterStringFilter{Key: aws.String("Path"), Option: aws.String("Recursive"), Values: []string{f.folder}})
	default:
		filters = append(filters, types.ParameterStringFilter{Key: aws.String("Name"), Option: aws.String("BeginsWith"), Values: []string{f.folder + "/"}})
	}
	for name, value := range f.query.Tags.Map() {
		filter := types.ParameterStringFilter{Key: aws.String("tag:" + name)}
		if value != "" { // which a filter cannot ask for: see verify
			filter.Values = []string{value}
		}
		filters = append(filters, filter)
	}
	return filters
}

// verify leaves out what has another value where an empty one was asked for.
func (f *search) verify(ctx context.Context) error {
	if !slices.Contains(slices.Collect(maps.Values(f.query.Tags.Map())), "") {
		return nil
	}
	for name := range f.found {
		have, err := f.store.pairs(ctx, name)
		if err != nil && !errs.Is(err, errs.NotExist) {
			return err
		}
		if err != nil || !f.query.Tags.In(have) {
			delete(f.found, name)
		}
	}
	return nil
}

// values adds the values to what was found, as far as they can be had together.
func (f *search) values(ctx context.Context) error {
	names := make([]string, 0, len(f.found))
	for name := range f.found {
		names = append(names, name)
	}
	slices.Sort(names)
	for some := range slices.Chunk(names, batchSize) {
		for name, a := range f.store.ask(ctx, some) {
			one, ours := f.found[name]
			switch {
			case errs.Is(a.err, errs.NotExist): // deleted meanwhile
				delete(f.found, name)
			case a.err != nil:
				return a.err
			case ours:
				one.Value = &a.value
				f.found[name] = one
			}
		}
	}
	return nil
}
