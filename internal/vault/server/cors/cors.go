package cors

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
)

// Live is what holds now. The zero Live allows no other origin and costs a
// request one atomic load. Any number of goroutines may use it at once.
type Live struct{ rules atomic.Pointer[rules] }

type rules struct {
	origins []string // as browsers send them; "*" alone = any
	headers string   // for Access-Control-Allow-Headers
}

// standard are the headers that clients of this API send.
const standard = "Authorization, Content-Type, X-Requested-With, X-Vault-Token, X-Vault-Namespace, X-Vault-Request, X-Vault-Wrap-TTL"

// methods are those of the API. LIST is no method that browsers may always send.
const methods = "DELETE, GET, HEAD, LIST, OPTIONS, PATCH, POST, PUT"

// Set replaces what holds. No origins = none is allowed, and browsers are not
// told anything.
func (l *Live) Set(origins, headers []string) {
	if len(origins) == 0 {
		l.rules.Store(nil)
		return
	}
	l.rules.Store(&rules{slices.Clone(origins), strings.Join(append([]string{standard}, headers...), ", ")})
}

// Answer sets the headers that tell a browser that the page may see the answer.
// If the status it returns is not 0, the request ends with it: 204 for a preflight,
// 403 for an origin that is not allowed, 405 for a preflight of an unknown method.
//
// Cookies are never allowed, so that neither "*" nor any other origin can use
// what the browser itself knows: a page has to bring its token.
func (l *Live) Answer(w http.ResponseWriter, r *http.Request) int {
	in := l.rules.Load()
	if in == nil {
		return 0
	}
	header := w.Header()
	header.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" || own(origin, r) {
		return 0
	}
	switch {
	case in.origins[0] == "*":
		header.Set("Access-Control-Allow-Origin", "*")
	case slices.Contains(in.origins, origin):
		header.Set("Access-Control-Allow-Origin", origin)
	default:
		return http.StatusForbidden
	}
	asked := r.Header.Get("Access-Control-Request-Method")
	if r.Method != http.MethodOptions || asked == "" {
		return 0
	}
	if !slices.Contains(strings.Split(methods, ", "), asked) {
		return http.StatusMethodNotAllowed
	}
	header.Set("Access-Control-Allow-Methods", methods)
	header.Set("Access-Control-Allow-Headers", in.headers)
	header.Set("Access-Control-Max-Age", "300")
	return http.StatusNoContent
}

// own reports whether the page came from this server: browsers tell the origin
// of writes also then.
func own(origin string, r *http.Request) bool {
	u, err := url.Parse(origin)
	secure := "http"
	if r.TLS != nil {
		secure = "https"
	}
	return err == nil && u.Scheme == secure && u.Host == r.Host
}
