package witness

import (
	"context"
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// How long an answer of the API server is believed, and how many are kept. A
// token that is revoked works no longer than that.
const (
	believed  = 30 * time.Second
	maxCached = 64
)

// reviews asks the API server, and remembers the tokens that it knew.
type reviews struct {
	client kubernetes.Interface
	clock  clock.PassiveClock

	mu    sync.Mutex
	known map[[sha256.Size]byte]known
}

type known struct {
	user  string
	until time.Time
}

// NewReview returns a Review by TokenReview.
func NewReview(client kubernetes.Interface, c clock.PassiveClock) Review {
	r := &reviews{client: client, clock: c, known: map[[sha256.Size]byte]known{}}
	return r.review
}

func (r *reviews) review(ctx context.Context, token, audience string) (string, error) {
	id := sha256.Sum256([]byte(audience + "\x00" + token))
	if user, ok := r.remembered(id); ok {
		return user, nil
	}
	res, err := r.client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{audience}},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", errs.New(errs.Unavailable, "the API server cannot be asked who the token is of: may this ServiceAccount create tokenreviews?")
	}
	// An authenticator that knows no audiences answers without them; that is no yes.
	if !res.Status.Authenticated || !slices.Contains(res.Status.Audiences, audience) {
		return "", errs.New(errs.Unauthenticated, "the token is not valid for audience "+audience)
	}
	r.remember(id, res.Status.User.Username)
	return res.Status.User.Username, nil
}

func (r *reviews) remembered(id [sha256.Size]byte) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k, ok := r.known[id]
	return k.user, ok && r.clock.Now().Before(k.until)
}

func (r *reviews) remember(id [sha256.Size]byte, user string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	for other, k := range r.known {
		if !now.Before(k.until) {
			delete(r.known, other)
		}
	}
	if len(r.known) < maxCached {
		r.known[id] = known{user, now.Add(believed)}
	}
}
