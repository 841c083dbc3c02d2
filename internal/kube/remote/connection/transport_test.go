package connection

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// A server that does not answer is not asked again at once, and answers later.
func TestAway(t *testing.T) {
	at := clocktesting.NewFakePassiveClock(time.Unix(1_800_000_000, 0))
	tripper := &careful{clock: at, denied: func() {}, next: tripFunc(func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") })}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://x", nil)
	trip := func() error {
		answer, err := tripper.RoundTrip(req)
		if err == nil {
			_ = answer.Body.Close()
		}
		return err
	}
	if trip() == nil {
		t.Fatal("no error")
	}
	asked := 0
	tripper.next = tripFunc(func(*http.Request) (*http.Response, error) {
		asked++
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	})
	if err := trip(); err == nil || err.Error() != "refused" || asked != 0 {
		t.Errorf("asked %d times: %v", asked, err)
	}
	at.SetTime(at.Now().Add(pause))
	if err := trip(); err != nil || asked != 1 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}

type tripFunc func(*http.Request) (*http.Response, error)

func (f tripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// An answer that never ends does.
func TestBounded(t *testing.T) {
	b := &bounded{ReadCloser: io.NopCloser(strings.NewReader("abcdef")), left: 4}
	got, err := io.ReadAll(b)
	if string(got) != "abcd" || !errs.Is(err, errs.TooLarge) {
		t.Errorf("%q, %v", got, err)
	}
}
