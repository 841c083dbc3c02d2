// Command webhook is a reference of what spec.target.webhook of a Rotation
// speaks to: docs/rotation/webhook.md. It makes random keys and keeps them in
// memory; replace book by what makes your own credentials, and keep its promises.
package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

func main() {
	listen := flag.String("listen", ":8443", "address to listen on")
	cert := flag.String("cert", "tls.crt", "certificate, PEM")
	key := flag.String("key", "tls.key", "its key, PEM")
	signing := flag.String("signing-key", "signing.key", "file with the key that requests are signed by")
	flag.Parse()
	secret, err := os.ReadFile(*signing)
	if err != nil {
		log.Fatal(err)
	}
	s := &http.Server{Addr: *listen, Handler: newServer(secret, time.Now), ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
	log.Fatal(s.ListenAndServeTLS(*cert, *key))
}

// server answers acts.
type server struct {
	key  []byte
	now  func() time.Time
	mu   sync.Mutex
	book map[string]map[int64]*credential // by rotation and the turn that made it
}

// credential is what a turn made.
type credential struct {
	secret   string
	replaces *credential // nil: nothing
	closed   bool
	gone     bool
	fence    int64 // the highest that an act of the turn came with
}

func newServer(key []byte, now func() time.Time) *server {
	return &server{key: key, now: now, book: map[string]map[int64]*credential{}}
}

// window is how old a request may be. Within it a request that is sent again does
// what it did already: every act is idempotent.
const window = 5 * time.Minute

const maxBody = 64 << 10

type act struct {
	APIVersion, Action, Rotation, Side string
	Turn, Fence                        int64
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil || r.Method != http.MethodPost {
		answer(w, http.StatusBadRequest, map[string]any{"message": "POST an act"})
		return
	}
	if !s.signed(r.Header.Get("Strongkeep-Signature"), body) {
		answer(w, http.StatusUnauthorized, map[string]any{"message": "the signature is not ours, or too old"})
		return
	}
	var a act
	if json.Unmarshal(body, &a) != nil || a.APIVersion != "strongkeep.io/webhook/v1" || a.Rotation == "" || a.Turn < 1 {
		answer(w, http.StatusBadRequest, map[string]any{"message": "not an act of strongkeep.io/webhook/v1"})
		return
	}
	status, out := s.do(a)
	answer(w, status, out)
}

// signed checks "t=UNIX,v1=HEX": the HMAC-SHA256 of the time, a dot and the body.
func (s *server) signed(header string, body []byte) bool {
	stamp, signature, ok := strings.Cut(strings.TrimPrefix(header, "t="), ",v1=")
	at, err := strconv.ParseInt(stamp, 10, 64)
	given, bad := hex.DecodeString(signature)
	if !ok || err != nil || bad != nil || s.now().Sub(time.Unix(at, 0)).Abs() > window {
		return false
	}
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(stamp + "."))
	mac.Write(body)
	return hmac.Equal(given, mac.Sum(nil))
}

func (s *server) do(a act) (int, map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.book[a.Rotation]
	if all == nil {
		all = map[int64]*credential{}
		s.book[a.Rotation] = all
	}
	fresh := all[a.Turn]
	if fresh != nil && a.Action != "rehearse" {
		if a.Fence < fresh.fence { // sent by an operator that was stopped, when others have gone on
			return http.StatusConflict, map[string]any{"message": "the act comes late"}
		}
		fresh.fence = a.Fence
	}
	switch {
	case a.Action == "rehearse":
		return http.StatusOK, nil
	case a.Action == "stage":
		return stage(all, a.Turn)
	case fresh == nil:
		return http.StatusConflict, map[string]any{"message": "the turn was not staged"}
	}
	return change(fresh, a)
}

// stage makes the credential of a turn. Asked again, the answer is the same: the
// first may be lost.
func stage(all map[int64]*credential, n int64) (int, map[string]any) {
	for turn := range all {
		if turn > n {
			return http.StatusConflict, map[string]any{"message": "turn " + strconv.FormatInt(turn, 10) + " was staged already"}
		}
	}
	if all[n] == nil {
		all[n] = &credential{secret: rand.Text(), replaces: newest(all)}
	}
	return http.StatusOK, map[string]any{"values": map[string]string{"apiKey": all[n].secret}}
}

// change does what is left of a turn that was staged.
func change(fresh *credential, a act) (int, map[string]any) {
	old := fresh.replaces
	switch {
	case a.Action == "publish":
	case a.Action == "retire" && a.Side == "new":
		fresh.gone = true
	case old == nil:
	case a.Action == "close":
		old.closed = true
	case a.Action == "reopen" && !old.gone:
		old.closed = false
	case a.Action == "retire":
		old.gone = true
	default:
		return http.StatusBadRequest, map[string]any{"message": "no such act, or too late for it"}
	}
	return http.StatusOK, nil
}

// newest returns the last one that was made and not removed.
func newest(all map[int64]*credential) *credential {
	var last *credential
	var of int64
	for turn, c := range all {
		if turn > of && !c.gone {
			last, of = c, turn
		}
	}
	return last
}

// accepts reports whether a key is in force.
func (s *server) accepts(secret string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, all := range s.book {
		for _, c := range all {
			if c.secret == secret {
				return !c.closed && !c.gone
			}
		}
	}
	return false
}

func answer(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if body == nil {
		body = map[string]any{}
	}
	_ = json.NewEncoder(w).Encode(body)
}
