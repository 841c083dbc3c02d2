package server

import (
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/gate"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot"
)

// patience is how long a client may take for what it is given at once.
const patience = time.Minute

// serveSnapshot streams a snapshot. One that cannot be written to its end breaks the
// connection off: what has arrived must not look whole.
func (h *Handler) serveSnapshot(w http.ResponseWriter, r *http.Request, req *gate.Request) {
	if h.cfg.Snapshot == nil {
		h.writeError(w, r, req, errs.New(errs.Unsupported, "this server makes no snapshots"))
		return
	}
	enveloped := !strings.Contains(r.Header.Get("Accept"), snapshot.MediaType)
	out := &stream{to: w, control: http.NewResponseController(w)}
	w.Header().Set("Content-Type", snapshot.MediaType)
	if enveloped {
		w.Header().Set("Content-Type", "application/gzip")
	}
	switch err := h.cfg.Snapshot(r.Context(), out, enveloped); {
	case err == nil:
	case !out.begun:
		w.Header()["Content-Type"] = jsonType
		h.writeError(w, r, req, err)
	default:
		h.cfg.Log.Warn("a snapshot that a client asked for was not written to its end", "request_id", req.ID, "error", err)
		panic(http.ErrAbortHandler)
	}
}

// stream gives the client time for each piece, however many there are.
type stream struct {
	to      io.Writer
	control *http.ResponseController
	begun   bool
}

func (s *stream) Write(b []byte) (int, error) {
	_ = s.control.SetWriteDeadline(time.Now().Add(patience)) // without one the whole answer's holds
	s.begun = true
	return s.to.Write(b)
}
