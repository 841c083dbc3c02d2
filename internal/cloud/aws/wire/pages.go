package wire

import "github.com/strongkeep/strongkeep/internal/errs"

// maxPages bounds a search: with 10 entries a page, a hundred thousand.
const maxPages = 10_000

// Pages ends a search that a server would make endless. The zero Pages has seen none.
type Pages struct {
	n    int
	last string
}

// Next returns the token to go on with, nil at the end.
func (p *Pages) Next(token *string) (*string, error) {
	if token == nil || *token == "" {
		return nil, nil
	}
	p.n++
	if *token == p.last || p.n > maxPages {
		return nil, errs.New(errs.Unavailable, "searching: the store's pages have no end")
	}
	p.last = *token
	return token, nil
}

// Cut gives the error that ended a search its kind: a search that did not come to
// its end never means that there is nothing.
func Cut(err error) error {
	if errs.Is(err, errs.NotExist) {
		return errs.As(errs.Unavailable, err)
	}
	return err
}
