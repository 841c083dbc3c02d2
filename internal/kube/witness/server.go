package witness

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Limits of the operator, who asks a few times in a minute.
const (
	perSecond = 20
	burst     = 40
	atOnce    = 8
)

// Review says who a token is of, for an audience: "system:serviceaccount:NS:NAME".
// Kinds: Unauthenticated, Unavailable.
type Review func(ctx context.Context, token, audience string) (user string, err error)

// Server answers questions. Its fields are set before it serves.
type Server struct {
	reader   *Reader
	review   Review
	audience string
	user     string
	log      *slog.Logger
	limit    *rate.Limiter // of user
	slots    chan struct{}
	unknown  strangers
}

// NewServer answers with what reader reads, to user alone, whose tokens are for
// the witness of node.
func NewServer(reader *Reader, review Review, node, user string, log *slog.Logger) *Server {
	return &Server{
		reader: reader, review: review, audience: Audience(node), user: user, log: log,
		limit: rate.NewLimiter(perSecond, burst), slots: make(chan struct{}, atOnce),
		unknown: strangers{reviews: make(chan struct{}, reviewsAtOnce)},
	}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path == "/healthz" {
		w.WriteHeader(http.StatusOK)
		return
	}
	answer, err := s.answer(w, req)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		kind := errs.KindOf(err)
		s.log.Warn("refused a question", "from", req.RemoteAddr, "kind", kind.String(), "error", err.Error())
		w.WriteHeader(status(kind))
		_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// status is that of HTTP itself, where the vault's API differs.
func status(k errs.Kind) int {
	if k == errs.Unauthenticated {
		return http.StatusUnauthorized
	}
	return k.HTTPStatus()
}

func (s *Server) answer(w http.ResponseWriter, req *http.Request) (Answer, error) {
	switch {
	case req.URL.Path != Path:
		return Answer{}, errs.New(errs.NotExist, "there is "+Path+" only")
	case req.Method != http.MethodPost:
		return Answer{}, errs.New(errs.Unsupported, "digests are asked for by POST")
	}
	if err := s.allow(req); err != nil {
		return Answer{}, err
	}
	if !s.limit.Allow() {
		return Answer{}, errs.New(errs.Exhausted, "too many questions: ask again in a second")
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		return Answer{}, errs.New(errs.Exhausted, "too many questions at once: ask again in a second")
	}
	q, err := parse(http.MaxBytesReader(w, req.Body, maxBody+2))
	if err != nil {
		return Answer{}, err
	}
	out := Answer{Files: make([]Said, 0, len(q.Files))}
	for _, f := range q.Files {
		if req.Context().Err() != nil {
			return Answer{}, errs.New(errs.Unavailable, "the caller has gone")
		}
		out.Files = append(out.Files, s.reader.Digest(q.Key, f))
	}
	return out, nil
}

// allow admits the operator and nobody else. Nothing of the body is read before,
// and nobody else's questions count as the operator's.
func (s *Server) allow(req *http.Request) error {
	token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" || len(token) > 16<<10 {
		return errs.New(errs.Unauthenticated, "a bearer token is needed, of audience "+s.audience)
	}
	known, release, err := s.unknown.enter(token, req.RemoteAddr)
	if err != nil {
		return err
	}
	defer release()
	ctx, cancel := context.WithTimeout(req.Context(), 5*time.Second)
	defer cancel()
	user, err := s.review(ctx, token, s.audience)
	if known && errs.Is(err, errs.Unauthenticated) {
		s.unknown.forget(token)
	}
	if err != nil {
		return err
	}
	if user != s.user {
		return errs.Newf(errs.Denied, "%s may not ask: only %s may", user, s.user)
	}
	s.unknown.admitted(token)
	return nil
}
