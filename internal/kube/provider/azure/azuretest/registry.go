package azuretest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// How long the registry's tokens are good.
const (
	RefreshLife = 3 * time.Hour
	AccessLife  = 75 * time.Minute
)

// Pull has who may do in the registry what a scope says, such as
// repository:app:pull.
func (s *Server) Pull(who string) { s.with(func() { s.pullers[who] = true }) }

// web makes a token as the registry does: it says when it ends, and is not signed.
func (s *Server) web(who string, life time.Duration) string {
	s.serial++
	claims, err := json.Marshal(obj{"sub": who, "exp": s.now().Add(life).Unix(), "jti": "canary-" + strconv.Itoa(s.serial)})
	if err != nil {
		panic(err)
	}
	b := base64.RawURLEncoding
	return b.EncodeToString([]byte(`{"alg":"none"}`)) + "." + b.EncodeToString(claims) + ".canary-signature"
}

// serveRegistry gives tokens of the registry for those of Entra, and for its own.
func (s *Server) serveRegistry(w http.ResponseWriter, r *http.Request) {
	s.counts["registry"]++
	if f := s.faults["registry"]; f != nil {
		f.write(w)
		return
	}
	refuse := func(status int) {
		answer(w, status, obj{"errors": []obj{{"code": "UNAUTHORIZED", "message": "canary: what was sent"}}})
	}
	if r.Method != http.MethodPost || r.FormValue("service") != Registry {
		refuse(http.StatusBadRequest)
		return
	}
	switch r.URL.Path + " " + r.FormValue("grant_type") {
	case "/oauth2/exchange access_token":
		t, ok := s.tokens[r.FormValue("access_token")]
		if !ok || t.of != images || !s.now().Before(t.expires) || r.FormValue("tenant") != "" && r.FormValue("tenant") != Tenant {
			refuse(http.StatusUnauthorized)
			return
		}
		refresh := s.web(t.who, RefreshLife)
		s.tokens[refresh] = token{t.who, s.now().Add(RefreshLife), Registry}
		answer(w, http.StatusOK, obj{"refresh_token": refresh})
	case "/oauth2/token refresh_token":
		t, ok := s.tokens[r.FormValue("refresh_token")]
		scopes := r.Form["scope"]
		if !ok || t.of != Registry || !s.pullers[t.who] || len(scopes) == 0 || !strings.HasPrefix(scopes[0], "repository:") {
			refuse(http.StatusUnauthorized)
			return
		}
		answer(w, http.StatusOK, obj{"access_token": s.web(t.who+" "+strings.Join(scopes, " "), AccessLife)})
	default:
		refuse(http.StatusNotFound)
	}
}
