package server

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/semaphore"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/gate"
	"github.com/strongkeep/strongkeep/internal/vault/quota"
	"github.com/strongkeep/strongkeep/internal/vault/server/cors"
	"github.com/strongkeep/strongkeep/internal/vault/server/inflight"
	"github.com/strongkeep/strongkeep/internal/vault/server/logtap"
)

// Limits of the wire.
const (
	MaxBody        = 32 << 20         // bytes of a request body, as Vault has it
	RequestTimeout = 90 * time.Second // after which the gate's context ends
)

// Config is what a Handler needs.
type Config struct {
	Gate    *gate.Gate
	Log     *slog.Logger
	Now     func() time.Time
	Metrics http.Handler // answers sys/metrics once the gate allowed it
	Tap     *logtap.Tap  // of Log, for sys/monitor
	// Snapshot writes a snapshot of the whole vault, as it is or in an envelope that
	// clients of Vault know; nil = there are none.
	Snapshot    func(ctx context.Context, w io.Writer, enveloped bool) error
	Warnings    func() []string // what sys/health tells beside its code, to anybody; nil = nothing
	CORS        *cors.Live      // which other origins browsers may be told of; nil = none
	Version     string          // semver, shown by seal-status and health
	BuildDate   string          // RFC 3339, or empty
	StorageType string          // name of the base store
}

// Handler serves the Vault HTTP API below /v1/.
type Handler struct {
	cfg     Config
	core    map[string]http.HandlerFunc // paths that bypass the gate, by path below /v1/
	helps   *engine.Router              // what they are for
	streams context.Context             // ends the event streams, which http.Server.Shutdown does not know
	end     context.CancelFunc
	under   inflight.Book       // requests that are under way
	bodies  *semaphore.Weighted // bytes of large bodies in memory; see admit
}

// New returns the handler.
func New(cfg Config) *Handler {
	if cfg.CORS == nil {
		cfg.CORS = new(cors.Live)
	}
	if cfg.Warnings == nil {
		cfg.Warnings = func() []string { return nil }
	}
	h := &Handler{cfg: cfg, bodies: semaphore.NewWeighted(maxBodies), helps: coreHelp()}
	h.streams, h.end = context.WithCancel(context.Background())
	h.core = map[string]http.HandlerFunc{
		"sys/init":                h.serveInit,
		"sys/seal-status":         h.serveSealStatus,
		"sys/seal-backend-status": h.serveSealBackends,
		"sys/unseal":              h.serveUnseal,
		"sys/health":              h.serveHealth,
		"sys/leader":              h.serveLeader,
	}
	return h
}

// EndStreams ends all event streams; call it before http.Server.Shutdown.
func (h *Handler) EndStreams() { h.end() }

const (
	apiPrefix       = "/v1/"
	subscribePrefix = "sys/events/subscribe/"
)

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["Cache-Control"] = noStore
	header["Content-Type"] = jsonType
	switch status := h.cfg.CORS.Answer(w, r); status {
	case 0:
	case http.StatusNoContent:
		w.WriteHeader(status)
		return
	case http.StatusForbidden:
		writeErrors(w, status, "origin not allowed")
		return
	default:
		writeErrors(w, status, "no method of this API is asked for")
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, apiPrefix)
	if !ok {
		h.serveOutside(w, r)
		return
	}
	if serve := h.core[strings.TrimSuffix(path, "/")]; serve != nil {
		if r.URL.RawQuery != "" && asksForHelp(r.URL.Query()) {
			h.serveCoreHelp(w, path)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
		serve(w, r)
		return
	}
	if strings.HasPrefix(path, subscribePrefix) {
		h.serveSubscribe(w, r, path)
		return
	}
	h.serveGate(w, r, path)
}

// Header values shared by all answers; net/http only reads them.
var (
	noStore  = []string{"no-store"}
	jsonType = []string{"application/json"}
)

func (h *Handler) serveGate(w http.ResponseWriter, r *http.Request, path string) {
	ctx := limit(r.Context(), RequestTimeout)
	defer ctx.finish()
	done, err := h.admit(ctx, r)
	if err != nil {
		h.writeError(w, r, nil, err)
		return
	}
	defer done()
	req, err := h.decode(w, r, path)
	if err != nil {
		h.writeError(w, r, nil, err)
		return
	}
	under := h.under.Enter(req.ID, r, req.Time)
	defer under.Leave()
	req.Known = under.Is
	if req.Namespace != "" {
		w.Header().Set("X-Vault-Namespace", req.Namespace)
	}
	res, err := h.cfg.Gate.Handle(ctx, req)
	rateHeaders(w.Header(), &req.Rate, h.cfg.Now())
	if req.Index != "" {
		w.Header()["X-Vault-Index"] = []string{req.Index}
	}
	if err != nil {
		h.writeError(w, r, req, err)
		return
	}
	if res != nil && res.Raw != nil && res.Raw.Status == 0 {
		h.serveAllowed(w, r, req)
		return
	}
	writeResponse(w, req, res)
}

// rateHeaders tells the client what a rate limit leaves it.
func rateHeaders(header http.Header, v *quota.Verdict, now time.Time) {
	if v.Limit == 0 || !v.Refused && !v.Headers {
		return
	}
	header.Set("X-Ratelimit-Limit", strconv.Itoa(v.Limit))
	header.Set("X-Ratelimit-Remaining", strconv.Itoa(v.Remaining))
	header.Set("X-Ratelimit-Reset", strconv.FormatInt(seconds(v.Reset.Sub(now)), 10))
	if v.Refused {
		header.Set("Retry-After", strconv.FormatInt(seconds(v.Retry), 10))
	}
}

// seconds rounds up: who comes back then is not early.
func seconds(d time.Duration) int64 { return int64((max(d, 0) + time.Second - 1) / time.Second) }

// serveAllowed answers what the gate allowed and leaves to the wire.
func (h *Handler) serveAllowed(w http.ResponseWriter, r *http.Request, req *gate.Request) {
	switch req.Path {
	case "sys/monitor":
	case "sys/in-flight-req":
		h.under.ServeHTTP(w, r)
		return
	case "sys/storage/raft/snapshot":
		h.serveSnapshot(w, r, req)
		return
	default:
		h.cfg.Metrics.ServeHTTP(w, r)
		return
	}
	query := r.URL.Query()
	level, json, err := logtap.Parse(query.Get("log_level"), query.Get("log_format"))
	if err != nil {
		h.writeError(w, r, req, err)
		return
	}
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	stopWatching := context.AfterFunc(h.streams, stop)
	defer stopWatching()
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // it goes on for as long as somebody reads
	h.cfg.Tap.Stream(ctx, w, level, json)
}

// Bodies are read before the token is looked at, so anybody can send large
// ones. maxBodies bounds what all large bodies take together; small ones are
// bounded by the number of connections.
const (
	largeBody = 1 << 20
	maxBodies = 8 * MaxBody
)

// admit waits until there is room for a large body; the returned function gives
// the room back. Kind Exhausted: there was none in time.
func (h *Handler) admit(ctx context.Context, r *http.Request) (func(), error) {
	size := r.ContentLength
	if size >= 0 && size <= largeBody || r.Body == nil || r.Body == http.NoBody {
		return func() {}, nil
	}
	if size < 0 || size > MaxBody {
		size = MaxBody // not told, or refused as soon as it is read
	}
	if err := h.bodies.Acquire(ctx, size); err != nil {
		return nil, errs.New(errs.Exhausted, "too many large requests at once; try again")
	}
	return func() { h.bodies.Release(size) }, nil
}

// serveOutside answers paths that are no API: a person with a browser at "/".
func (h *Handler) serveOutside(w http.ResponseWriter, r *http.Request) {
	writeErrors(w, http.StatusNotFound, "no handler for "+quotePath(r.URL.Path)+": the API is below /v1/")
}

func quotePath(p string) string {
	if len(p) > 200 {
		p = p[:200] + "…"
	}
	return `"` + strings.ToValidUTF8(p, "?") + `"`
}

// logInternal keeps for the operator what the client is not told.
func (h *Handler) logInternal(req *gate.Request, err error) {
	id, path, op := "", "", ""
	if req != nil {
		id, path, op = req.ID, req.Path, req.Operation.String()
	}
	h.cfg.Log.Error("request ended in an internal error", "request_id", id, "operation", op, "path", path, "error", err)
}

// newRequestID makes a random UUID (RFC 9562, version 4). It is no secret and
// only has to be unique, for which the runtime's own generator, which the
// system seeds, is enough.
func newRequestID() string {
	var id uuid.UUID
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

// isWrite says whether an operation without an answer is 204 rather than 404.
func isWrite(op engine.Operation) bool {
	switch op {
	case engine.Create, engine.Update, engine.Patch, engine.Delete:
		return true
	}
	return false
}

func (h *Handler) writeError(w http.ResponseWriter, r *http.Request, req *gate.Request, err error) {
	// Also to a client that seems gone: one that closed only its own side still
	// reads, and no answer at all would reach it as a 200.
	kind := errs.KindOf(err)
	status, text := kind.HTTPStatus(), err.Error()
	switch {
	case kind == errs.Internal:
		h.logInternal(req, err)
		text = "internal error"
		if req != nil {
			text += ": the server's log has the cause under request " + req.ID
		}
	case kind == errs.Unsupported && errIsMediaType(err):
		status = http.StatusUnsupportedMediaType
	case engine.StatusOf(err) != 0:
		status = engine.StatusOf(err)
	}
	var explained *gate.Explained
	if errors.As(err, &explained) {
		writeErrorsWith(w, status, explained.Data, text)
		return
	}
	writeErrors(w, status, text)
}
