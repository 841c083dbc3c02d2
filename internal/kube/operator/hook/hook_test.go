package hook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

const key = "canary-key-of-thirty-two-bytes-x"

// world has the SecretStore team/shop and the ClusterSecretStore all, and a SecretStore
// that takes no reports.
type world struct {
	*testing.T
	h        *Handler
	clock    *testclock.FakeClock
	log      *strings.Builder
	reported []string
	down     bool
}

func newWorld(t *testing.T, elected bool) *world {
	w := &world{T: t, clock: testclock.NewFakeClock(time.Unix(1_800_000_000, 0)), log: &strings.Builder{}}
	working := make(chan struct{})
	if elected {
		close(working)
	}
	var err error
	w.h, err = New(Config{
		Store: func(_ context.Context, k v1.StoreKey) (v1.Store, error) {
			switch k {
			case v1.StoreKey{Kind: v1.KindSecretStore, Namespace: "team", Name: "shop"}, v1.StoreKey{Kind: v1.KindSecretStore, Namespace: "team", Name: "deaf"}:
				return &v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: k.Namespace, Name: k.Name}}, nil
			case v1.StoreKey{Kind: v1.KindClusterSecretStore, Name: "all"}:
				return &v1.ClusterSecretStore{ObjectMeta: metav1.ObjectMeta{Name: k.Name}}, nil
			}
			return nil, errs.New(errs.NotExist, "no such store")
		},
		Stores: w, Report: func(store v1.StoreKey, c provider.Change) { w.reported = append(w.reported, store.Name+" "+c.Topic) },
		Elected: working, Clock: w.clock, Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if strings.Contains(w.log.String(), "canary") {
			t.Errorf("the log has a secret:\n%s", strings.ReplaceAll(w.log.String(), "canary", "CANARY"))
		}
	})
	return w
}

func (w *world) HookKey(_ context.Context, store v1.Store) (redact.Secret, error) {
	if store.GetName() == "deaf" {
		return redact.Secret{}, errs.New(errs.Unsupported, "takes no reports")
	}
	return redact.FromString(key), nil
}

func (w *world) Changed(_ context.Context, _ v1.Store, key string) (string, error) {
	if w.down {
		return "", errs.New(errs.Unavailable, "down")
	}
	return strings.TrimPrefix(key, "mute"), nil
}

// sign returns the signature of a body as of a time.
func sign(secret, name, stamp, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("v1:" + stamp + ":" + name + ":" + body))
	return "v1=" + hex.EncodeToString(mac.Sum(nil))
}

type report struct {
	method, path, body, stamp, signature string
}

// of makes a report of a store, signed rightly, now.
func (w *world) of(name, body string) report {
	stamp := strconv.FormatInt(w.clock.Now().Unix(), 10)
	return report{http.MethodPost, "/changes/" + name, body, stamp, sign(key, name, stamp, body)}
}

func (w *world) send(r report) *httptest.ResponseRecorder {
	w.Helper()
	req := httptest.NewRequestWithContext(w.Context(), r.method, r.path, strings.NewReader(r.body))
	req.Header.Set(headerTimestamp, r.stamp)
	req.Header.Set(headerSignature, r.signature)
	answer := httptest.NewRecorder()
	w.h.ServeHTTP(answer, req)
	if strings.Contains(answer.Body.String(), "canary") {
		w.Error("the answer has a secret")
	}
	return answer
}

// expect sends a report and wants a status, and what is reported then.
func (w *world) expect(what string, r report, status int, reported ...string) {
	w.Helper()
	w.reported = nil
	if answer := w.send(r); answer.Code != status {
		w.Errorf("%s: status %d (%s), want %d", what, answer.Code, strings.TrimSpace(answer.Body.String()), status)
	}
	if strings.Join(w.reported, ",") != strings.Join(reported, ",") {
		w.Errorf("%s: %q is reported, want %q", what, w.reported, reported)
	}
}

func TestReports(t *testing.T) {
	w := newWorld(t, true)
	w.expect("a store", w.of("team/shop", `{"keys":["db","api"]}`), http.StatusAccepted, "shop db", "shop api")
	w.expect("a cluster's", w.of("all", `{"keys":["db"]}`), http.StatusAccepted, "all db")
	w.expect("without a topic", w.of("team/shop", `{"keys":["mute"]}`), http.StatusAccepted)
	for _, bad := range []string{
		"", "{}", `{"keys":[]}`, `{"keys":[""]}`, `{"keys":"db"}`, `{"keys":["db"],"value":"canary"}`, `{"keys":["db"]} x`, `{"keys":["db"],"keys":["x"]}`,
		`{"keys":["` + strings.Repeat("k", maxKey+1) + `"]}`, `{"keys":[` + strings.Repeat(`"k",`, maxKeys) + `"k"]}`, "[" + strings.Repeat("[", 10000),
	} {
		w.expect("bad body", w.of("team/shop", bad), http.StatusBadRequest)
	}
	w.expect("long body", w.of("team/shop", strings.Repeat(" ", maxBody+1)), http.StatusRequestEntityTooLarge)
	get := w.of("team/shop", `{"keys":["db"]}`)
	get.method = http.MethodGet
	w.expect("GET", get, http.StatusMethodNotAllowed)
}

// Who has no key learns nothing: not which stores there are, nor which take reports.
func TestRefusalsAreAlike(t *testing.T) {
	w := newWorld(t, true)
	body := `{"keys":["db"]}`
	good := w.of("team/shop", body)
	with := func(change func(*report)) report {
		r := good
		change(&r)
		return r
	}
	at := func(d time.Duration) report {
		return with(func(r *report) {
			r.stamp = strconv.FormatInt(w.clock.Now().Add(d).Unix(), 10)
			r.signature = sign(key, "team/shop", r.stamp, body)
		})
	}
	var text string
	for name, r := range map[string]report{
		"no such store":     w.of("team/none", body),
		"no such namespace": w.of("none/shop", body),
		"no such cluster's": w.of("none", body),
		"takes no reports":  w.of("team/deaf", body),
		"another key":       with(func(r *report) { r.signature = sign("another", "team/shop", r.stamp, body) }),
		"no signature":      with(func(r *report) { r.signature = "" }),
		"no hex":            with(func(r *report) { r.signature = "v1=zz" }),
		"half of it":        with(func(r *report) { r.signature = r.signature[:len(r.signature)/2] }),
		"another store's":   with(func(r *report) { r.signature = sign(key, "all", r.stamp, body) }),
		"another body's":    with(func(r *report) { r.body = `{"keys":["other"]}` }),
		"another time's":    with(func(r *report) { r.stamp = strconv.FormatInt(w.clock.Now().Unix()+1, 10) }),
		"no time":           with(func(r *report) { r.stamp = ""; r.signature = sign(key, "team/shop", "", body) }),
		"no number":         with(func(r *report) { r.stamp = "x"; r.signature = sign(key, "team/shop", "x", body) }),
		"old":               at(-window - time.Second),
		"ahead":             at(window + time.Second),
		"a huge number":     with(func(r *report) { r.stamp = "9223372036854775807"; r.signature = sign(key, "team/shop", r.stamp, body) }),
	} {
		answer := w.send(r)
		if answer.Code != http.StatusUnauthorized || text != "" && answer.Body.String() != text || len(w.reported) > 0 {
			t.Errorf("%s: status %d, %q, %q reported", name, answer.Code, answer.Body.String(), w.reported)
		}
		text = answer.Body.String()
	}
	w.expect("in time", at(-window+time.Second), http.StatusAccepted, "shop db")
	w.expect("a little ahead", at(window-time.Second), http.StatusAccepted, "shop db")
}

// A signature is good for its window and no longer. Within it, it counts each time: two
// changes in one second are signed alike.
func TestWindow(t *testing.T) {
	w := newWorld(t, true)
	r := w.of("team/shop", `{"keys":["db"]}`)
	w.expect("once", r, http.StatusAccepted, "shop db")
	w.expect("in the same second", r, http.StatusAccepted, "shop db")
	w.clock.Step(window)
	w.expect("at the end", r, http.StatusAccepted, "shop db")
	w.clock.Step(time.Second)
	w.expect("too late", r, http.StatusUnauthorized)
	w.down = true
	w.expect("the store is down", w.of("team/shop", `{"keys":["db"]}`), http.StatusServiceUnavailable)
}

func TestRates(t *testing.T) {
	w := newWorld(t, true)
	taken, held := 0, 0
	for i := range storeBurst * 2 {
		switch w.send(w.of("team/shop", `{"keys":["`+strconv.Itoa(i)+`"]}`)).Code {
		case http.StatusAccepted:
			taken++
		case http.StatusTooManyRequests:
			held++
		}
	}
	if taken != storeBurst || held != storeBurst {
		t.Errorf("%d taken and %d held back, want %d of each", taken, held, storeBurst)
	}
	w.expect("another store", w.of("all", `{"keys":["db"]}`), http.StatusAccepted, "all db")
	for w.send(w.of("team/none", "")).Code == http.StatusUnauthorized {
	}
	if answer := w.send(w.of("all", `{"keys":["x"]}`)); answer.Code != http.StatusTooManyRequests || answer.Header().Get("Retry-After") == "" {
		t.Errorf("status %d, Retry-After %q", answer.Code, answer.Header().Get("Retry-After"))
	}
	w.clock.Step(time.Minute)
	w.expect("later", w.of("team/shop", `{"keys":["x"]}`), http.StatusAccepted, "shop x")
}

// An operator that waits to be elected sends who reports to the one that works.
func TestNotElected(t *testing.T) {
	w := newWorld(t, false)
	w.expect("waiting", w.of("team/shop", `{"keys":["db"]}`), http.StatusServiceUnavailable)
}

func FuzzBody(f *testing.F) {
	f.Add([]byte(`{"keys":["db"]}`))
	f.Add([]byte(`{"keys":[1]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, err := keysOf(body)
		if (err == nil) != (len(keys) > 0) {
			t.Errorf("%d keys and %v", len(keys), err)
		}
		for _, k := range keys {
			if k == "" || len(k) > maxKey {
				t.Errorf("a key of %d bytes", len(k))
			}
		}
	})
}
