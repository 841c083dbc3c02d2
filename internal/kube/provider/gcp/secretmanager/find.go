package secretmanager

import (
	"context"
	"regexp"
	"slices"
	"strings"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/wire"
)

const (
	// pageSize is how many secrets one call brings.
	pageSize = 250
	// maxPages bounds a search.
	maxPages = 4000
)

// pages ends a search that a server would make endless. The zero pages has seen none.
type pages struct {
	n    int
	last string
}

// next reports whether there is a page at token.
func (p *pages) next(token string) (bool, error) {
	if token == "" {
		return false, nil
	}
	p.n++
	if token == p.last || p.n > maxPages {
		return false, errs.New(errs.Unavailable, "searching: the store's pages have no end")
	}
	p.last = token
	return true, nil
}

// Find lists the secrets whose names begin with q.Path and match the rest. Tags are
// labels.
func (s *Store) Find(ctx context.Context, q provider.Query) ([]provider.Found, error) { //nolint:cyclop // flat: a case after the other
	matches, err := q.Matcher()
	if err != nil {
		return nil, err
	}
	req := &pb.ListSecretsRequest{Filter: filter(q), PageSize: pageSize}
	if req.Parent, err = s.parent(ctx); err != nil {
		return nil, err
	}
	var keys []string
	var p pages
	for {
		page, err := s.list(ctx, req)
		if err != nil {
			return nil, err
		}
		for _, about := range page.GetSecrets() {
			key := keyOf(about.GetName())
			if key == "" {
				return nil, errs.New(errs.Unavailable, "listing secrets of Secret Manager: the answer has one without a name")
			}
			s.lives.note(about)
			if strings.HasPrefix(key, q.Path) && q.Tags.In(about.GetLabels()) && matches(key) {
				keys = append(keys, key)
			}
		}
		more, err := p.next(page.GetNextPageToken())
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		req.PageToken = page.GetNextPageToken()
	}
	slices.Sort(keys)
	var found []provider.Found
	for _, key := range slices.Compact(keys) {
		found = append(found, provider.Found{Key: key})
	}
	return found, nil
}

// list asks for one page. A search that did not come to its end never means that
// there is nothing.
func (s *Store) list(ctx context.Context, req *pb.ListSecretsRequest) (*pb.ListSecretsResponse, error) {
	page, err := do(ctx, s, call{wire.Call{Doing: "listing secrets of Secret Manager", Routing: "parent=" + req.GetParent()}, true},
		func(ctx context.Context) (*pb.ListSecretsResponse, error) { return s.client.ListSecrets(ctx, req) })
	if errs.Is(err, errs.NotExist) {
		return nil, errs.As(errs.Unavailable, err)
	}
	return page, err
}

// words are what a filter can say without quoting.
var words = regexp.MustCompile(`^[a-z0-9_-]+$`)

// filter lets the service leave out what cannot match. What it sends is looked at
// again, so that nothing depends on how it reads a filter, other than that it reads
// it no narrower.
func filter(q provider.Query) string {
	var terms []string
	for name, value := range q.Tags.Map() {
		if words.MatchString(name) && words.MatchString(value) {
			terms = append(terms, "labels."+name+"="+value)
		}
	}
	slices.Sort(terms)
	if q.Path != "" && ids.MatchString(q.Path) {
		terms = append(terms, "name:"+q.Path)
	}
	return strings.Join(terms, " AND ")
}

// Check asks for one page of names. Who may read single secrets and not list them is
// told that there is no way to tell.
func (s *Store) Check(ctx context.Context) error {
	if _, err := s.cfg.Login.Token(ctx); err != nil {
		return err
	}
	parent, err := s.parent(ctx)
	if err != nil {
		return err
	}
	_, err = s.list(ctx, &pb.ListSecretsRequest{Parent: parent, PageSize: 1})
	if errs.Is(err, errs.Denied) {
		return errs.Newf(errs.Unsupported, "%w without the permission to list: %w", provider.ErrUnverifiable, err)
	}
	return err
}
