package witness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	testclock "k8s.io/utils/clock/testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

const operatorUser = "system:serviceaccount:strongkeep-system:strongkeep-operator"

// review knows one token of the operator's, one of somebody else's.
func review(_ context.Context, token, audience string) (string, error) {
	switch {
	case audience != "strongkeep-witness:n1":
		return "", errs.New(errs.Unauthenticated, "the token is not valid")
	case token == "operator-token":
		return operatorUser, nil
	case token == "other-token":
		return "system:serviceaccount:shop:web", nil
	case token == "away":
		return "", errs.New(errs.Unavailable, "the API server cannot be asked")
	}
	return "", errs.New(errs.Unauthenticated, "the token is not valid")
}

func newServer(t testing.TB) (*Server, *bytes.Buffer) {
	r, dir := open(t)
	kubelet(t, filepath.Join(dir, podUID, "volumes", "kubernetes.io~secret", "db"), map[string]string{"password": canary})
	var log bytes.Buffer
	return NewServer(r, review, "n1", operatorUser, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))), &log
}

func question(files ...File) string {
	raw, _ := json.Marshal(Question{bytes.Repeat([]byte{7}, KeySize), files})
	return string(raw)
}

func (s *Server) try(method, path, token, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, req)
	return rec
}

func TestServer(t *testing.T) {
	s, log := newServer(t)
	good := question(File{podUID, "db", "password"}, File{podUID, "db", "none"})
	rec := s.try("POST", Path, "operator-token", good)
	var a Answer
	if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil || rec.Code != 200 || len(a.Files) != 2 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if !bytes.Equal(a.Files[0].Digest, digestOf(bytes.Repeat([]byte{7}, KeySize), canary)) || a.Files[1].Reason == "" || a.Files[1].Digest != nil {
		t.Errorf("%s", rec.Body)
	}
	many := make([]File, MaxFiles+1)
	for _, tc := range []struct {
		name, method, path, token, body string
		status                          int
	}{
		{"no token", "POST", Path, "", good, 401},
		{"unknown token", "POST", Path, "x", good, 401},
		{"token of somebody else", "POST", Path, "other-token", good, 403},
		{"API server away", "POST", Path, "away", good, 503},
		{"long token", "POST", Path, strings.Repeat("x", 20<<10), good, 401},
		{"GET", "GET", Path, "operator-token", "", 405},
		{"elsewhere", "POST", "/", "operator-token", good, 404},
		{"no JSON", "POST", Path, "operator-token", canary, 400},
		{"another member", "POST", Path, "operator-token", `{"key":"","files":[],"x":1}`, 400},
		{"short key", "POST", Path, "operator-token", `{"key":"AAAA","files":[{"pod":"p","volume":"v","path":"x"}]}`, 400},
		{"no file", "POST", Path, "operator-token", question(), 400},
		{"too many files", "POST", Path, "operator-token", question(many...), 400},
		{"too long", "POST", Path, "operator-token", good + strings.Repeat(" ", maxBody), 413},
		{"twice", "POST", Path, "operator-token", good + good, 400},
		{"health", "GET", "/healthz", "", "", 200},
	} {
		if rec := s.try(tc.method, tc.path, tc.token, tc.body); rec.Code != tc.status {
			t.Errorf("%s: %d %s, want %d", tc.name, rec.Code, rec.Body, tc.status)
		}
	}
	for _, secret := range []string{canary, "operator-token", "other-token", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%s is in the log", secret)
		}
	}
}

// Many questions, even good ones, are slowed down.
func TestServerLimits(t *testing.T) {
	s, _ := newServer(t)
	refused := 0
	for range 3 * burst {
		if s.try("POST", Path, "x", "").Code == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused < burst {
		t.Errorf("%d of %d were refused", refused, 3*burst)
	}
	s, _ = newServer(t)
	for range atOnce {
		s.slots <- struct{}{}
	}
	if rec := s.try("POST", Path, "operator-token", question(File{podUID, "db", "password"})); rec.Code != http.StatusTooManyRequests {
		t.Errorf("one too many at once: %d", rec.Code)
	}
}

// Whoever is not the operator, and asks as often as it likes, keeps the operator
// from nothing: neither from another address, nor, once it was admitted, from the
// same one. The API server is not asked more than the bound has it.
func TestStrangersDoNotSlowTheOperator(t *testing.T) {
	s, _ := newServer(t)
	reviewed := 0
	s.review = func(ctx context.Context, token, audience string) (string, error) {
		reviewed++
		return review(ctx, token, audience)
	}
	good := question(File{podUID, "db", "password"})
	ask := func(address, token string) int {
		req := httptest.NewRequest("POST", Path, strings.NewReader(good))
		req.RemoteAddr = address
		req.Header.Set("Authorization", "Bearer "+token)
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, req)
		return rec.Code
	}
	flood := func(address string) {
		t.Helper()
		before := reviewed
		for i := range 500 {
			if code := ask(address, fmt.Sprint("junk-", i)); code == 200 {
				t.Fatal("junk is admitted")
			}
			ask(address, "other-token")
		}
		if reviewed-before > 500 {
			t.Errorf("the API server is asked %d times", reviewed-before)
		}
	}
	flood("10.0.0.7:1234")
	if code := ask("10.0.0.1:1234", "operator-token"); code != 200 {
		t.Fatalf("behind a flood from another address the operator gets %d", code)
	}
	flood("10.0.0.1:99")
	for range 5 {
		if code := ask("10.0.0.1:1234", "operator-token"); code != 200 {
			t.Fatalf("behind a flood from its own address the operator gets %d", code)
		}
	}
	for range reviewsAtOnce {
		s.unknown.reviews <- struct{}{}
	}
	if code := ask("10.0.0.1:1234", "operator-token"); code != 200 {
		t.Errorf("while strangers are reviewed the operator gets %d", code)
	}
	if code := ask("10.0.0.9:1", "junk"); code != http.StatusTooManyRequests {
		t.Errorf("one stranger too many at once gets %d", code)
	}
	for range reviewsAtOnce {
		<-s.unknown.reviews
	}
	s.review = func(context.Context, string, string) (string, error) {
		return "", errs.New(errs.Unauthenticated, "the token is not valid any more")
	}
	if code := ask("10.0.0.2:1", "operator-token"); code != http.StatusUnauthorized || s.unknown.operator != [32]byte{} {
		t.Errorf("an operator's token that is over: %d", code)
	}
}

// However many addresses ask, what is kept of them is bounded.
func TestStrangersAreBounded(t *testing.T) {
	s := strangers{reviews: make(chan struct{}, 1)}
	for i := range 3 * maxAddresses {
		for range 2 {
			if _, release, err := s.enter("junk", fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255)); err == nil {
				release()
			}
		}
	}
	if len(s.by) > maxAddresses+1 {
		t.Errorf("%d addresses are kept", len(s.by))
	}
}

// Tokens are reviewed for this node's audience, believed for a while, and no longer.
func TestReview(t *testing.T) {
	var reviewed []authenticationv1.TokenReviewSpec
	answer := authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{"strongkeep-witness:n1"}, User: authenticationv1.UserInfo{Username: operatorUser}}
	var fails error
	client := fake.NewClientset()
	client.PrependReactor("create", "tokenreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		r := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview)
		reviewed = append(reviewed, r.Spec)
		r = r.DeepCopy()
		r.Status = answer
		return true, r, fails
	})
	clock := testclock.NewFakePassiveClock(time.Unix(0, 0))
	review := NewReview(client, clock)
	ask := func(token string) (string, error) { return review(t.Context(), token, "strongkeep-witness:n1") }
	for range 3 {
		if user, err := ask("t1"); user != operatorUser || err != nil {
			t.Fatal(user, err)
		}
	}
	if len(reviewed) != 1 || reviewed[0].Token != "t1" || fmt.Sprint(reviewed[0].Audiences) != "[strongkeep-witness:n1]" {
		t.Errorf("%d reviews", len(reviewed))
	}
	clock.SetTime(time.Unix(0, 0).Add(believed))
	if _, err := ask("t1"); err != nil || len(reviewed) != 2 {
		t.Errorf("%v after %d reviews", err, len(reviewed))
	}
	if _, err := review(t.Context(), "t1", "strongkeep-witness:n2"); errs.KindOf(err) != errs.Unauthenticated {
		t.Errorf("a token of another node: %v", err)
	}
	answer.Authenticated = false
	if _, err := ask("t2"); errs.KindOf(err) != errs.Unauthenticated || strings.Contains(err.Error(), "t2") {
		t.Error(err)
	}
	answer.Authenticated, answer.Audiences = true, nil
	if _, err := ask("t3"); errs.KindOf(err) != errs.Unauthenticated {
		t.Errorf("an answer without audiences: %v", err)
	}
	fails = errors.New("away")
	if _, err := ask("t4"); errs.KindOf(err) != errs.Unavailable {
		t.Error(err)
	}
	if _, err := ask("t1"); err != nil {
		t.Errorf("what is known is known while the API server is away: %v", err)
	}
}

func TestIdentity(t *testing.T) {
	a, err := NewIdentity(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewIdentity(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if a.Pin == b.Pin || PinOf(a.Certificate.Leaf) != a.Pin || !strings.HasPrefix(a.Pin, "sha256:") || len(a.Pin) != 71 {
		t.Errorf("%s, %s", a.Pin, b.Pin)
	}
}
