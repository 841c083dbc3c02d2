package peer

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/identity"
)

// Caller asks other nodes. Its methods may be called by any number of goroutines.
type Caller struct{ http *http.Client }

// NewCaller asks with the certificate of i; an answer may take as long as patience.
func NewCaller(i *identity.Identity, patience time.Duration) Caller {
	return Caller{&http.Client{
		// Each question is a connection of its own: answers decide who may form a cluster.
		Transport: &http.Transport{TLSClientConfig: i.Client(), DisableKeepAlives: true},
		Timeout:   patience,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}}
}

// State asks the node at an address what it tells of itself. Kind Unavailable.
func (c Caller) State(ctx context.Context, at string) (State, error) {
	var s State
	return s, c.Ask(ctx, http.MethodGet, at+StatePath, nil, &s)
}

// Ask sends body, unless it is nil, as JSON to at, and decodes the answer. Kind Unavailable: no answer, or
// not 200, whose text is in the error.
func (c Caller) Ask(ctx context.Context, method, at string, body, answer any) error {
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return errs.Newf(errs.Internal, "asking %s: %w", at, err)
		}
		content = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, at, content)
	if err != nil {
		return errs.Newf(errs.Internal, "asking %s: %w", at, err)
	}
	r, err := c.http.Do(req)
	if err != nil {
		return errs.Newf(errs.Unavailable, "asking another node: %w", err)
	}
	defer func() { _ = r.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(r.Body, MaxBody))
	if err != nil {
		return errs.Newf(errs.Unavailable, "asking %s: %w", at, err)
	}
	if r.StatusCode != http.StatusOK {
		return errs.Newf(errs.Unavailable, "asking %s: %s: %.500s", at, r.Status, bytes.TrimSpace(raw))
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return errs.Newf(errs.Unavailable, "asking %s: reading the answer: %w", at, err)
	}
	return nil
}

// Survey asks nodes at once; those that do not answer are left out.
func (c Caller) Survey(ctx context.Context, nodes []Node) (answers map[string]State, silent []error) {
	answers = make(map[string]State, len(nodes))
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, p := range nodes {
		all.Go(func() {
			s, err := c.State(ctx, p.URL)
			if err == nil && s.Name != p.Name {
				err = errs.Newf(errs.Invalid, "at %s answers the node %q, not %q: two nodes have one address, or the lists differ", p.URL, s.Name, p.Name)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				silent = append(silent, err)
				return
			}
			answers[p.Name] = s
		})
	}
	all.Wait()
	return answers, silent
}

// Hold has another member hold its writes: as long as the answer is not read to its end.
func (c Caller) Hold(ctx context.Context, at string) (release func(), err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at+HoldPath, nil)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "asking %s: %w", at, err)
	}
	r, err := c.http.Do(req)
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "asking another node: %w", err)
	}
	release = func() { _ = r.Body.Close() }
	if r.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(r.Body, 500)) // says more than the status, if it comes
		release()
		return nil, errs.Newf(errs.Unavailable, "asking %s: %s: %s", at, r.Status, text)
	}
	return release, nil
}
