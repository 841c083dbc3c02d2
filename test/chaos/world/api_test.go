package world

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A vault that takes its time to be made is made once, and its root token is not lost.
func TestInitialiseSlowly(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut {
			_, _ = fmt.Fprint(w, `{}`)
			return
		}
		if asked++; asked > 1 {
			w.WriteHeader(http.StatusBadRequest) // it is made already
			return
		}
		select {
		case <-time.After(3500 * time.Millisecond): // longer than others are waited for
		case <-r.Context().Done():
		}
		_, _ = fmt.Fprint(w, `{"root_token": "canary"}`)
	}))
	defer s.Close()
	a := &API{URL: s.URL, HTTP: s.Client()}
	if root, err := a.initialise(t.Context()); err != nil || root != "canary" {
		t.Errorf("asked %d times: %v", asked, err)
	}
}
