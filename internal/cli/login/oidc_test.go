package login

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func newTestWaiter(t *testing.T) (*waiter, string) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := newWaiter(l)
	t.Cleanup(w.close)
	return w, "http://" + l.Addr().String() + callbackPath
}

// browse is a browser that comes back; what it shows is sent when the page is read.
func browse(t *testing.T, address string, query url.Values) <-chan string {
	shown := make(chan string, 1)
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"?"+query.Encode(), nil)
		if err != nil {
			t.Error(err)
			return
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		if err != nil || !strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%v, %v", res.Header, err)
		}
		shown <- string(body)
	}()
	return shown
}

func TestBrowserComesBack(t *testing.T) {
	w, address := newTestWaiter(t)
	shown := browse(t, address, url.Values{"state": {"s"}, "code": {"c"}})
	back, err := w.wait(t.Context())
	if err != nil || back.state != "s" || back.code != "c" {
		t.Fatalf("%+v, %v", back, err)
	}
	w.answer(nil)
	if page := <-shown; !strings.Contains(page, "Logged in") {
		t.Error(page)
	}
}

func TestBrowserHearsOfAFailure(t *testing.T) {
	w, address := newTestWaiter(t)
	shown := browse(t, address, url.Values{"state": {"s"}, "code": {"c"}})
	if _, err := w.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.answer(errors.New("canary-reason"))
	if page := <-shown; !strings.Contains(page, "Not logged in") || strings.Contains(page, "canary-reason") {
		t.Error(page)
	}
}

// The class of the OIDC error_description XSS: what a provider, or a link that
// somebody was made to click, says must not run in the page.
func TestOIDCErrorDescriptionXSS(t *testing.T) {
	w, address := newTestWaiter(t)
	shown := browse(t, address, url.Values{"error": {"access_denied"}, "error_description": {`<script>alert("x")</script>`}})
	if _, err := w.wait(t.Context()); !errs.Is(err, errs.Denied) {
		t.Errorf("%v", err)
	}
	if page := <-shown; strings.Contains(page, "<script") || !strings.Contains(page, "&lt;script&gt;") {
		t.Error(page)
	}
}

func TestNobodyComesBack(t *testing.T) {
	w, _ := newTestWaiter(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.wait(ctx); !errs.Is(err, errs.Unavailable) {
		t.Errorf("%v", err)
	}
}
