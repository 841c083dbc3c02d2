package meter

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// patience is how long an API server gets to tell its metrics.
const patience = 20 * time.Second

// HashOf is what an API server tells of an identity or a key id.
func HashOf(text string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))) }

// Ask reads the metrics of the API server at a URL, with the certificates and credentials
// of from. Kinds: Invalid (the URL), Denied, Unauthenticated, Unavailable.
func Ask(ctx context.Context, from *rest.Config, url string) (Reading, error) {
	if !strings.HasPrefix(url, "https://") {
		return Reading{}, errs.Newf(errs.Invalid, "API server %q: name it as https://ADDRESS:6443", url)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	to := rest.CopyConfig(from)
	to.Host, to.Timeout = strings.TrimSuffix(url, "/"), 0
	client, err := rest.HTTPClientFor(to)
	if err != nil {
		return Reading{}, errs.Newf(errs.Invalid, "API server %s: %w", url, err)
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, to.Host+"/metrics", nil)
	if err != nil {
		return Reading{}, errs.Newf(errs.Invalid, "API server %q: %w", url, err)
	}
	q.Header.Set("Accept", "text/plain")
	answer, err := client.Do(q)
	if err != nil {
		return Reading{}, errs.Newf(errs.Unavailable, "asking the API server %s for its metrics: %w: all API servers have to answer", url, err)
	}
	defer func() { _ = answer.Body.Close() }()
	if err := refused(answer, url); err != nil {
		return Reading{}, err
	}
	r, err := Read(answer.Body)
	if err != nil {
		return r, errs.Newf(errs.Unavailable, "reading the metrics of the API server %s: %w", url, err)
	}
	r.Told, _ = http.ParseTime(answer.Header.Get("Date"))
	return r, nil
}

// refused is the error of an answer without metrics.
func refused(answer *http.Response, url string) error {
	switch answer.StatusCode {
	case http.StatusOK:
		if !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/plain") {
			return errs.Newf(errs.Unavailable, "asking the API server %s for its metrics: the answer is something else: is there something between it and us?", url)
		}
		return nil
	case http.StatusForbidden:
		return errs.Newf(errs.Denied, "the API server %s does not tell you its metrics: ask for the right to get the nonResourceURL /metrics", url)
	case http.StatusUnauthorized:
		return errs.Newf(errs.Unauthenticated, "the API server %s does not know who asks: log in to the cluster anew", url)
	}
	return errs.Newf(errs.Unavailable, "asking the API server %s for its metrics: %s", url, answer.Status)
}
