package login

import (
	"context"
	"crypto/rand"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"os/exec"
	"runtime"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// patience is how long a person has to log in at the provider.
const patience = 5 * time.Minute

// callbackPath is where the provider sends the browser back to; it is part of
// the role's allowed_redirect_uris.
const callbackPath = "/oidc/callback"

// byBrowser sends a browser to the provider and waits for it to come back.
func (l *login) byBrowser(ctx context.Context, client *vault.Client, fields map[string]any) (*vault.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	text := func(name, def string) string { return session.First(fmt.Sprint(orEmpty(fields[name])), def) }
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(text("listenaddress", "localhost"), text("port", "8250")))
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "waiting for the browser: %w; give another port=, which the provider must know too unless it lets loopback ports be free", err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	redirect := "http://" + net.JoinHostPort(text("callbackhost", "localhost"), text("callbackport", port)) + callbackPath
	w := newWaiter(listener)
	defer w.close()

	nonce := rand.Text()
	mount := "auth/" + session.Clean(l.path)
	begun, err := client.Logical().WriteWithContext(ctx, mount+"/oidc/auth_url", map[string]any{
		"role": orEmpty(fields["role"]), "redirect_uri": redirect, "client_nonce": nonce,
	})
	if err != nil {
		return nil, err
	}
	address, _ := begun.Data["auth_url"].(string)
	if address == "" {
		return nil, errs.Newf(errs.Invalid, "%s gave no address to log in at: is the role right, and is %s one of its allowed_redirect_uris?", mount, redirect)
	}
	l.Warn(begun.Warnings)
	note := "Complete the login in your browser, which opens at:\n\n    %s\n\n"
	if text("skip_browser", "false") == "true" || openBrowser(ctx, address) != nil {
		note = "Complete the login in a browser, at:\n\n    %s\n\n"
	}
	if _, err := fmt.Fprintf(l.Env.Stderr, note+"Waiting for it to come back to %s …\n", address, redirect); err != nil {
		return nil, err
	}
	back, err := w.wait(ctx)
	if err != nil {
		return nil, err
	}
	s, err := client.Logical().ReadWithDataWithContext(ctx, mount+"/oidc/callback", map[string][]string{
		"state": {back.state}, "code": {back.code}, "client_nonce": {nonce},
	})
	if err == nil && (s == nil || s.Auth == nil) {
		err = errs.Newf(errs.Invalid, "%s/oidc/callback answered without a token", mount)
	}
	w.answer(err)
	return s, err
}

func orEmpty(v any) any {
	if v == nil {
		return ""
	}
	return v
}

func openBrowser(ctx context.Context, address string) error {
	command, args := "xdg-open", []string{address}
	switch runtime.GOOS {
	case "darwin":
		command = "open"
	case "windows":
		command, args = "rundll32", []string{"url.dll,FileProtocolHandler", address}
	}
	return exec.CommandContext(ctx, command, args...).Start()
}

// visit is a browser that came back.
type visit struct {
	state, code string
	failure     string // what the provider says is wrong, for people; anybody can have written it
}

// waiter is the web server that waits for one browser to come back, and keeps
// it waiting until the login is decided.
type waiter struct {
	server http.Server
	came   chan visit
	result chan error
	done   chan struct{}
}

func newWaiter(l net.Listener) *waiter {
	w := &waiter{came: make(chan visit, 1), result: make(chan error, 1), done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+callbackPath, w.callback)
	w.server.Handler, w.server.ReadHeaderTimeout = mux, 10*time.Second
	go func() {
		defer close(w.done)
		_ = w.server.Serve(l) // ends with close
	}()
	return w
}

func (w *waiter) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = w.server.Shutdown(ctx) // lets the page be read to its end
	_ = w.server.Close()
	<-w.done
}

// wait returns the first browser that comes back with an answer.
func (w *waiter) wait(ctx context.Context) (visit, error) {
	select {
	case <-ctx.Done():
		return visit{}, errs.New(errs.Unavailable, "nobody logged in; begin the login anew")
	case v := <-w.came:
		if v.failure != "" {
			err := errs.Newf(errs.Denied, "the provider refused the login: %q", v.failure)
			w.answer(err)
			return visit{}, err
		}
		return v, nil
	}
}

// answer tells the browser that waits how it went.
func (w *waiter) answer(err error) {
	select {
	case w.result <- err:
	default: // nobody waits
	}
}

// page escapes what it is given, which the provider, or anybody who makes the
// browser come here, has written.
var page = template.Must(template.New("").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Strongkeep</title></head>
<body><h1>{{.Title}}</h1><p>{{.Text}}</p></body></html>
`))

func (w *waiter) callback(res http.ResponseWriter, req *http.Request) {
	q := req.URL.Query()
	v := visit{state: q.Get("state"), code: q.Get("code")}
	if q.Get("error") != "" {
		v.failure = session.First(q.Get("error_description"), q.Get("error"))
	}
	shown := struct{ Title, Text string }{"Logged in", "Go back to the terminal; this page can be closed."}
	select {
	case w.came <- v:
		select {
		case err := <-w.result:
			if err != nil {
				shown.Title, shown.Text = "Not logged in", "The terminal says why. "+v.failure
			}
		case <-req.Context().Done():
			return
		}
	default:
		shown.Title, shown.Text = "Nobody waits for this", "Begin the login anew in the terminal."
	}
	h := res.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	_ = page.Execute(res, shown) // the browser may have gone
}
