package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault/failure"
)

// event is one message of sys/events/subscribe with json=true:
//
//	{"data":{"event":{"metadata":{"data_path":"secret/data/x","path":"secret/metadata/x",…}},…},…}
type event struct {
	Data struct {
		Event struct {
			Metadata map[string]any `json:"metadata"`
		} `json:"event"`
	} `json:"data"`
}

// maxEvent bounds one message; keepalive is how often a silent connection is
// proven to live, so that a lost one is noticed before a person does.
const (
	maxEvent  = 1 << 20
	keepalive = 20 * time.Second
)

// What stores of each version subscribe to. Credentials of alternating roles are
// read as version v1; KV v1 has no events, nor has anything else that is read so.
const (
	eventsOfKV          = "kv-v2/*"
	eventsOfAlternating = "database/alternating-publish"
)

// events returns the types of events that this store subscribes to.
func (s *store) events() string {
	if s.settings.Version == "v1" {
		return eventsOfAlternating
	}
	return eventsOfKV
}

// Topic returns what events name: the v2 data path of key, or the path of an
// alternating role's credential. "" for what has no events.
func (s *store) Topic(key string) string {
	path, err := dataPath(s.settings.Path, s.settings.Version, key)
	if err != nil || s.events() == eventsOfAlternating && !strings.Contains(path, "/alternating-creds/") {
		return ""
	}
	return path
}

// Notify subscribes to every event that the token's policies let it see: of KV
// v2, or of credentials that alternate.
func (s *store) Notify(ctx context.Context, report func(provider.Change)) error {
	l, err := s.current(ctx)
	if err != nil {
		return err
	}
	conn, err := s.dial(ctx)
	if errs.Is(err, errs.Denied) && s.afterDenied(ctx, l) {
		if l, err = s.current(ctx); err == nil {
			conn, err = s.dial(ctx)
		}
	}
	if err != nil {
		return unsupportedIfRefused(err)
	}
	defer conn.CloseNow() //nolint:errcheck // nothing can be done about it
	conn.SetReadLimit(maxEvent)
	report(provider.Change{Connected: true})

	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		cancel(s.keepAlive(ctx, conn, l))
	}()
	err = s.receive(ctx, conn, report)
	cancel(err)
	<-done
	return context.Cause(ctx)
}

// unsupportedIfRefused: a server without the endpoint, or a token that may not
// use it, leaves the refresh interval. Both can change, so callers may ask
// again, but not soon.
func unsupportedIfRefused(err error) error {
	switch errs.KindOf(err) {
	case errs.Denied, errs.NotExist, errs.Unsupported, errs.Invalid:
		return errs.Newf(errs.Unsupported, "the server sends no change events to this store: %w", err)
	}
	return err
}

func (s *store) dial(ctx context.Context) (*websocket.Conn, error) {
	address, err := url.Parse(s.settings.Server)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "spec.provider.vault.server: %w", err)
	}
	address = address.JoinPath("v1/sys/events/subscribe", s.events())
	address.RawQuery = "json=true"
	header := s.kv.Headers() // the namespace among them
	header.Set("X-Vault-Token", s.kv.Token())
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, answer, err := websocket.Dial(ctx, address.String(), &websocket.DialOptions{HTTPClient: s.http, HTTPHeader: header})
	if err == nil {
		return conn, nil
	}
	doing := "subscribing to changes at " + s.settings.Server
	if answer != nil && answer.StatusCode >= http.StatusBadRequest {
		return nil, errs.Newf(failure.KindOf(answer.StatusCode), "%s: %s", doing, http.StatusText(answer.StatusCode))
	}
	if answer != nil && answer.StatusCode != 0 && answer.StatusCode != http.StatusSwitchingProtocols {
		return nil, errs.Newf(errs.Unsupported, "%s: the answer is %s", doing, http.StatusText(answer.StatusCode))
	}
	return nil, classify(err, doing)
}

func (s *store) receive(ctx context.Context, conn *websocket.Conn, report func(provider.Change)) error {
	for {
		_, message, err := conn.Read(ctx)
		if err != nil {
			return fmt.Errorf("the connection for changes ended: %w", withoutText(err))
		}
		if topic := topicOf(message); topic != "" {
			report(provider.Change{Topic: topic})
		}
	}
}

// withoutText keeps of a close frame its code only; its text is the server's.
func withoutText(err error) error {
	var closed websocket.CloseError
	if errors.As(err, &closed) {
		return fmt.Errorf("the server closed it with code %d", closed.Code)
	}
	return err
}

// topicOf returns the data path an event is about, or "" when there is none.
func topicOf(message []byte) string {
	var e event
	if json.Unmarshal(message, &e) != nil {
		return ""
	}
	if path, ok := e.Data.Event.Metadata["data_path"].(string); ok && path != "" {
		return strings.Trim(path, "/")
	}
	path, _ := e.Data.Event.Metadata["path"].(string)
	return strings.Trim(path, "/")
}

// keepAlive pings, and keeps the login renewed: a subscription lives as long as
// its token. It returns when a new token means that we must subscribe again.
func (s *store) keepAlive(ctx context.Context, conn *websocket.Conn, l *login) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.clock.After(keepalive):
		}
		now, err := s.current(ctx)
		if err != nil {
			return err
		}
		if !now.token.Equal(l.token) {
			return errs.New(errs.Unavailable, "subscribing again with a new token")
		}
		pingCtx, cancel := context.WithTimeout(ctx, keepalive)
		err = conn.Ping(pingCtx)
		cancel()
		if err != nil {
			return errs.Newf(errs.Unavailable, "the connection for changes is dead: %w", withoutText(err))
		}
	}
}

var _ provider.Notifier = (*store)(nil)
