package wire

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// closed is a body as the SDK's is once it is closed: it has been read, and to write it
// anywhere fails.
type closed struct{ *strings.Reader }

func (closed) Close() error                     { return nil }
func (closed) WriteTo(io.Writer) (int64, error) { return 0, io.EOF }

// A connection is used again although the SDK closes a body before the Transport has
// looked whether that was all of it.
func TestBodyClosedEarly(t *testing.T) {
	from := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from[r.RemoteAddr] = true
		_, _ = io.Copy(w, r.Body)
	}))
	defer server.Close()
	client := NewClient("eu-central-1", Retry{}).HTTP
	defer client.CloseIdleConnections()
	for range 3 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, closed{strings.NewReader("{}")})
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = 2
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(answer.Body)
		if _ = answer.Body.Close(); err != nil || string(got) != "{}" {
			t.Fatalf("the answer is %q, %v", got, err)
		}
	}
	if len(from) != 1 {
		t.Errorf("three calls came over %d connections", len(from))
	}
}
