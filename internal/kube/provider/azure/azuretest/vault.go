package azuretest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// WebToken returns a token of the cluster for a ServiceAccount, unsigned.
func WebToken(subject string, audiences []string) string {
	claims, err := json.Marshal(obj{"sub": subject, "aud": audiences, "canary": true})
	if err != nil {
		panic(err)
	}
	b := base64.RawURLEncoding
	return b.EncodeToString([]byte(`{"alg":"none"}`)) + "." + b.EncodeToString(claims) + "."
}

// subject returns whose token it is, if it is for the exchange. Whether the API server
// signed it is not looked at.
func subject(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Subject   string   `json:"sub"`
		Audiences []string `json:"aud"`
	}
	if err != nil || json.Unmarshal(raw, &claims) != nil || !slices.Contains(claims.Audiences, "api://AzureADTokenExchange") {
		return ""
	}
	return claims.Subject
}

// object is a secret, key or certificate.
type object struct {
	tags     map[string]string
	versions []*version
}

type version struct {
	id       string
	value    any // "value", "key" or "cer" of the answer
	disabled bool
	expires  int64
	content  string
}

// State is what tests look at.
type State struct {
	Value    string
	Tags     map[string]string
	Versions int
	Expires  time.Time
	Content  string
}

func (s *Server) add(kind, name string, value any) *version {
	o := s.objects[kind+"/"+name]
	if o == nil {
		o = &object{}
		s.objects[kind+"/"+name] = o
	}
	s.serial++
	v := &version{id: fmt.Sprintf("%032x", s.serial), value: value}
	o.versions = append(o.versions, v)
	return v
}

// Put adds a version of a secret and returns it.
func (s *Server) Put(name, value string) (id string) {
	s.with(func() { id = s.add("secrets", name, value).id })
	return id
}

// PutKey adds a version of a key, as a JSON object.
func (s *Server) PutKey(name string, jwk map[string]any) { s.with(func() { s.add("keys", name, jwk) }) }

// PutCertificate adds a version of a certificate.
func (s *Server) PutCertificate(name string, der []byte) {
	s.with(func() { s.add("certificates", name, base64.StdEncoding.EncodeToString(der)) })
}

// Tag sets the tags of an object, such as "secrets/db".
func (s *Server) Tag(path string, tags map[string]string) {
	s.with(func() { s.objects[path].tags = maps.Clone(tags) })
}

// Disable turns the latest version of a secret off; Expire sets its end.
func (s *Server) Disable(name string) { s.latest(name, func(v *version) { v.disabled = true }) }

// Expire sets the end of the latest version of a secret.
func (s *Server) Expire(name string, at time.Time) {
	s.latest(name, func(v *version) { v.expires = at.Unix() })
}

func (s *Server) latest(name string, f func(*version)) {
	s.with(func() { o := s.objects["secrets/"+name]; f(o.versions[len(o.versions)-1]) })
}

// Delete deletes a secret, so that it can be recovered.
func (s *Server) Delete(name string) {
	s.with(func() {
		s.gone[name] = s.objects["secrets/"+name]
		delete(s.objects, "secrets/"+name)
	})
}

// Secret returns the state of a secret, if there is one.
func (s *Server) Secret(name string) (st State, ok bool) {
	s.with(func() {
		o := s.objects["secrets/"+name]
		if ok = o != nil; ok {
			v := o.versions[len(o.versions)-1]
			st = State{Value: v.value.(string), Tags: maps.Clone(o.tags), Versions: len(o.versions), Expires: time.Unix(v.expires, 0), Content: v.content}
		}
	})
	return st, ok
}

// serveVault answers a call of the vault.
func (s *Server) serveVault(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	what := r.Method + " " + parts[0]
	s.mu.Lock()
	t, ok := s.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	if !ok || t.of != resource || !s.now().Before(t.expires) {
		challenge := s.challenge
		s.mu.Unlock()
		if challenge != "" {
			w.Header().Set("WWW-Authenticate", challenge)
		}
		answer(w, http.StatusUnauthorized, obj{"error": obj{"code": "Unauthorized", "message": "canary"}})
		return
	}
	s.callers[t.who] = true
	s.counts[what]++
	f, hook := s.faults[what], s.before[what]
	if f == nil {
		f = s.faults[""]
	}
	if s.down == 0 {
		f = &Fault{Status: http.StatusInternalServerError, Code: "InternalError"}
	} else if s.down > 0 {
		s.down--
	}
	delete(s.before, what)
	s.mu.Unlock()
	if hook != nil {
		hook()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f == nil {
		var ok bool
		if f, ok = s.wrappingCall(w, r, parts); !ok {
			f = s.call(w, r, parts)
		}
	}
	if f != nil {
		f.write(w)
	}
}

var codes = map[string]string{"secrets": "Secret", "deletedsecrets": "Secret", "keys": "Key", "certificates": "Certificate"}

// call makes one call; it returns what it is refused with.
func (s *Server) call(w http.ResponseWriter, r *http.Request, parts []string) *Fault {
	kind, name, rest := parts[0], "", ""
	if len(parts) > 1 {
		name = parts[1]
	}
	if len(parts) > 2 {
		rest = parts[2]
	}
	missing := &Fault{Status: http.StatusNotFound, Code: codes[kind] + "NotFound"}
	o := s.objects[kind+"/"+name]
	switch {
	case codes[kind] == "":
		return &Fault{Status: http.StatusBadRequest, Code: "BadParameter"}
	case kind == "deletedsecrets":
		if o = s.gone[name]; o == nil {
			return missing
		}
		if r.Method == http.MethodPost && rest == "recover" {
			s.objects["secrets/"+name] = o
			delete(s.gone, name)
		}
		answer(w, http.StatusOK, obj{"id": VaultURL + "/secrets/" + name, "recoveryId": VaultURL + "/deletedsecrets/" + name, "tags": o.tags})
	case r.Method == http.MethodGet && name == "":
		return s.list(w, r)
	case r.Method == http.MethodPut:
		return s.set(w, r, name)
	case o == nil:
		return missing
	case r.Method == http.MethodDelete:
		s.gone[name] = o
		delete(s.objects, "secrets/"+name)
		answer(w, http.StatusOK, obj{"id": VaultURL + "/secrets/" + name})
	default:
		i := len(o.versions) - 1
		if rest != "" {
			i = slices.IndexFunc(o.versions, func(v *version) bool { return v.id == rest })
		}
		if i < 0 {
			return missing
		}
		return s.show(w, kind, name, o, o.versions[i])
	}
	return nil
}

func (s *Server) show(w http.ResponseWriter, kind, name string, o *object, v *version) *Fault {
	if v.disabled {
		return &Fault{Status: http.StatusForbidden, Code: "Forbidden", Inner: codes[kind] + "Disabled"}
	}
	attributes := obj{"enabled": true}
	if v.expires != 0 {
		attributes["exp"] = v.expires
	}
	id := VaultURL + "/" + kind + "/" + name + "/" + v.id
	body := obj{"id": id, "attributes": attributes, "tags": o.tags}
	switch value := v.value.(type) {
	case map[string]any:
		value["kid"] = id
		body["key"] = value
	case string:
		field := map[string]string{"secrets": "value", "certificates": "cer"}[kind]
		body[field] = value
		if v.content != "" {
			body["contentType"] = v.content
		}
	}
	answer(w, http.StatusOK, body)
	return nil
}

func (s *Server) set(w http.ResponseWriter, r *http.Request, name string) *Fault {
	var body struct {
		Value       string            `json:"value"`
		Tags        map[string]string `json:"tags"`
		ContentType string            `json:"contentType"`
		Attributes  struct {
			Expires int64 `json:"exp"`
		} `json:"attributes"`
	}
	if json.NewDecoder(r.Body).Decode(&body) != nil {
		return &Fault{Status: http.StatusBadRequest, Code: "BadParameter"}
	}
	if s.gone[name] != nil {
		return &Fault{Status: http.StatusConflict, Code: "Conflict", Inner: "ObjectIsDeletedButRecoverable"}
	}
	v := s.add("secrets", name, body.Value)
	v.content, v.expires = body.ContentType, body.Attributes.Expires
	o := s.objects["secrets/"+name]
	o.tags = body.Tags
	return s.show(w, "secrets", name, o, v)
}

// page is how many secrets a list gives at a time.
const page = 25

func (s *Server) list(w http.ResponseWriter, r *http.Request) *Fault {
	from, _ := strconv.Atoi(r.URL.Query().Get("$skiptoken"))
	if from > 0 && s.lose {
		return &Fault{Status: http.StatusInternalServerError, Code: "InternalError"}
	}
	var names []string
	for path := range s.objects {
		if name, ok := strings.CutPrefix(path, "secrets/"); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	slices.Reverse(names) // in no useful order
	some := []obj{}
	for _, name := range names[min(from, len(names)):min(from+page, len(names))] {
		o := s.objects["secrets/"+name]
		some = append(some, obj{"id": VaultURL + "/secrets/" + name, "tags": o.tags, "attributes": obj{"enabled": !o.versions[len(o.versions)-1].disabled}})
	}
	body := obj{"value": some, "nextLink": nil}
	if from+page < len(names) {
		body["nextLink"] = VaultURL + "/secrets?api-version=7.6&$skiptoken=" + strconv.Itoa(from+page)
	}
	answer(w, http.StatusOK, body)
	return nil
}
