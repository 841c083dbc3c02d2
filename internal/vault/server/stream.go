package server

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/gate"
)

// pingEvery is how often a quiet stream is checked: that the peer is there and
// that its token still is valid.
const pingEvery = 15 * time.Second

// serveSubscribe streams change events over a WebSocket.
func (h *Handler) serveSubscribe(w http.ResponseWriter, r *http.Request, path string) {
	req, err := h.decode(w, r, path)
	if err == nil {
		err = h.checkSubscribe(r, req.Operation)
	}
	if err != nil {
		h.writeError(w, r, req, err)
		return
	}
	sub, err := h.cfg.Gate.Subscribe(r.Context(), req, path[len(subscribePrefix):])
	rateHeaders(w.Header(), &req.Rate, h.cfg.Now())
	if err != nil {
		h.writeError(w, r, req, err)
		return
	}
	defer sub.Close()
	delete(w.Header(), "Content-Type")
	// Browsers hold no vault token, so there is no origin to defend against.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = conn.CloseNow() }() // closed in good order below, unless that fails
	ctx, stop := context.WithCancel(conn.CloseRead(r.Context()))
	defer stop()
	stopWatching := context.AfterFunc(h.streams, stop)
	defer stopWatching()
	reason := h.stream(ctx, conn, sub)
	_ = conn.Close(closeCode(reason), closeText(reason))
}

func (h *Handler) checkSubscribe(r *http.Request, op engine.Operation) error {
	if !h.cfg.Gate.Open() {
		return errSealed // not what is wrong with the request: it may be right later
	}
	if op != engine.Read {
		return errs.New(errs.Unsupported, "subscribe with GET and a WebSocket upgrade")
	}
	if json, err := strconv.ParseBool(r.URL.Query().Get("json")); err != nil || !json {
		return errs.New(errs.Invalid, "events are sent as JSON: subscribe with ?json=true")
	}
	if r.ProtoMajor != 1 || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return errs.New(errs.Invalid, "events are sent over a WebSocket: ask for the upgrade, over HTTP/1.1")
	}
	return nil
}

// stream sends events until the peer, the token or the vault ends.
func (h *Handler) stream(ctx context.Context, conn *websocket.Conn, sub *gate.Subscription) error {
	for {
		message, err := nextWithin(ctx, sub, pingEvery)
		switch {
		case err == nil:
			err = within(ctx, func(ctx context.Context) error { return conn.Write(ctx, websocket.MessageText, message) })
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			if err = sub.CheckToken(ctx); err == nil {
				err = within(ctx, conn.Ping)
			}
		}
		if err != nil {
			return err
		}
	}
}

func nextWithin(ctx context.Context, sub *gate.Subscription, d time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return sub.Next(ctx)
}

// within gives the peer a bounded time to take something: one that reads no
// more must not hold the stream, nor its subscription, for ever.
func within(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, pingEvery)
	defer cancel()
	return do(ctx)
}

func closeCode(err error) websocket.StatusCode {
	switch errs.KindOf(err) {
	case errs.Exhausted:
		return websocket.StatusTryAgainLater
	case errs.Unauthenticated, errs.Denied:
		return websocket.StatusPolicyViolation
	}
	return websocket.StatusGoingAway
}

// closeText is at most 123 bytes, the limit of a close frame (RFC 6455 §5.5).
func closeText(err error) string {
	text := "the stream ended; subscribe again"
	switch errs.KindOf(err) {
	case errs.Exhausted:
		text = "events were lost: read what you follow anew and subscribe again"
	case errs.Unauthenticated, errs.Denied:
		text = "permission denied"
	}
	return text
}
