package events

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"
	vault "github.com/hashicorp/vault/api"
	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Bounds of a subscription.
const (
	maxEvent = 1 << 20          // bytes of one event
	patience = 30 * time.Second // until the server has answered
)

// Command returns the events command with what is below it.
func Command(s *session.Session) *cobra.Command {
	return session.Group("events", "What changes in the vault, as it changes", subscribe(s))
}

func subscribe(s *session.Session) *cobra.Command {
	var stamps bool
	var count int
	c := &cobra.Command{
		Use: "subscribe TYPE", Short: "Show events as they happen, a line of JSON each", Args: session.Args(1, 1),
		Long: `Show events as they happen, a line of JSON each, until it is interrupted.

TYPE is a type of events, with * for any part of it: kv-v2/data-write, kv-v2/*, *. An event names
what changed and never holds a value; only those are shown whose path the token may read.`,
		Example: "  strongkeep events subscribe 'kv-v2/*'",
		RunE: func(c *cobra.Command, given []string) error {
			conn, err := dial(c.Context(), s, given[0])
			if err != nil {
				return err
			}
			defer conn.CloseNow() //nolint:errcheck // nothing can be done about it
			for n := 0; count == 0 || n < count; n++ {
				_, event, err := conn.Read(c.Context())
				if err != nil {
					return ended(c.Context(), err)
				}
				if stamps {
					event = append(time.Now().UTC().AppendFormat(nil, time.RFC3339+" | "), event...)
				}
				if _, err := fmt.Fprintf(s.Env.Stdout, "%s\n", event); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&stamps, "timestamps", false, "put the time before each event")
	c.Flags().IntVar(&count, "count", 0, "end after so many events; 0 = never")
	return c
}

// ended says why a subscription is over. Whoever interrupts it wanted that.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	var closed websocket.CloseError
	if errors.As(err, &closed) && closed.Reason != "" {
		return errs.Newf(errs.Unavailable, "the server ended the subscription: %s", closed.Reason)
	}
	return errs.New(errs.Unavailable, "the connection to the server is lost: it stopped, or was sealed")
}

func dial(ctx context.Context, s *session.Session, kind string) (*websocket.Conn, error) {
	client, err := s.Client()
	if err != nil {
		return nil, err
	}
	address, err := url.Parse(client.Address())
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "address %q: %w", client.Address(), err)
	}
	address = address.JoinPath("v1/sys/events/subscribe", strings.Trim(kind, "/"))
	address.RawQuery = "json=true"
	header := client.Headers() // the namespace among them
	if header == nil {
		header = http.Header{}
	}
	header.Set("X-Vault-Token", client.Token())
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, answer, err := websocket.Dial(ctx, address.String(), &websocket.DialOptions{HTTPClient: upgradable(client), HTTPHeader: header})
	switch {
	case err == nil:
		conn.SetReadLimit(maxEvent)
		return conn, nil
	case answer != nil && answer.StatusCode >= http.StatusBadRequest:
		return nil, refused(answer, address)
	}
	return nil, err
}

// refused makes of an answer the error that the client library makes of others,
// so that it is explained as they are.
func refused(answer *http.Response, address *url.URL) error {
	var told *vault.ResponseError
	if err := (&vault.Response{Response: answer}).Error(); errors.As(err, &told) {
		return told
	}
	return &vault.ResponseError{HTTPMethod: http.MethodGet, URL: address.String(), StatusCode: answer.StatusCode}
}

// upgradable is the client's connection without HTTP/2, which cannot be turned
// into a WebSocket.
func upgradable(client *vault.Client) *http.Client {
	own := *client.CloneConfig().HttpClient
	own.Timeout = 0 // the dial has one; the subscription has none
	if t, ok := own.Transport.(*http.Transport); ok {
		t = t.Clone()
		t.ForceAttemptHTTP2 = false
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP1(true)
		if t.TLSClientConfig != nil {
			t.TLSClientConfig.NextProtos = []string{"http/1.1"}
		}
		own.Transport = t
	}
	return &own
}
