package placetest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// The only storage account of Azure.
const (
	AzureAccount = "vaultbackups"
	AzureSAS     = "sv=2025-01-05&sr=c&sp=racwdl&sig=" + Canary
)

// AzureKey is the account's.
var AzureKey = base64.StdEncoding.EncodeToString([]byte(Canary + "-key-of-the-account"))

// Azure is a server that speaks the protocol of Azure Blob Storage.
type Azure struct {
	*Store
	URL string
}

// NewAzure returns one that runs until the test's end.
func NewAzure(t testing.TB) *Azure {
	s := &Azure{Store: newStore()}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

func refuseAzure(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("X-Ms-Error-Code", code)
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`<?xml version="1.0" encoding="utf-8"?><Error><Code>` + code + `</Code><Message>the string to sign was ` + Canary + `</Message></Error>`))
}

// allowed checks a shared access signature, or that by the account's key, of what
// https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key says is signed.
func allowed(r *http.Request) bool {
	if given := r.URL.Query().Get("sig"); given != "" {
		return given == Canary
	}
	length := r.Header.Get("Content-Length")
	if length == "" && r.ContentLength > 0 {
		length = itoa(int(r.ContentLength))
	}
	h := r.Header.Get
	lines := []string{
		r.Method, h("Content-Encoding"), h("Content-Language"), strings.TrimPrefix(length, "0"), h("Content-MD5"), h("Content-Type"), "",
		h("If-Modified-Since"), h("If-Match"), h("If-None-Match"), h("If-Unmodified-Since"), h("Range"),
	}
	var own []string
	for name, values := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-ms-") {
			own = append(own, name+":"+strings.Join(values, ","))
		}
	}
	slices.Sort(own)
	lines = append(lines, own...)
	lines = append(lines, "/"+AzureAccount+r.URL.EscapedPath())
	var params []string
	for name, values := range r.URL.Query() {
		slices.Sort(values)
		params = append(params, strings.ToLower(name)+":"+strings.Join(values, ","))
	}
	slices.Sort(params)
	key, _ := base64.StdEncoding.DecodeString(AzureKey)
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte(strings.Join(append(lines, params...), "\n")))
	return h("Authorization") == "SharedKey "+AzureAccount+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// ServeHTTP implements http.Handler.
func (s *Azure) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, whole := s.content(r)
	if !whole {
		return
	}
	if !allowed(r) {
		refuseAzure(w, http.StatusForbidden, "AuthenticationFailed")
		return
	}
	container, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	q := r.URL.Query()
	switch {
	case container != BucketName:
		refuseAzure(w, http.StatusNotFound, "ContainerNotFound")
	case key == "" && q.Get("comp") == "list":
		s.listing(w, q.Get("prefix"), q.Get("marker"))
	case r.Method == http.MethodPut:
		s.write(w, r, key, body)
	default:
		s.one(w, r, key)
	}
}

func (s *Azure) one(w http.ResponseWriter, r *http.Request, key string) {
	content, ok := s.object(key)
	switch {
	case !ok:
		refuseAzure(w, http.StatusNotFound, "BlobNotFound")
	case r.Method == http.MethodDelete:
		s.remove(key)
		w.WriteHeader(http.StatusAccepted)
	default:
		s.send(w, content, r.Header.Get("X-Ms-Range"))
	}
}

func (s *Azure) listing(w http.ResponseWriter, prefix, after string) {
	type blob struct{ Name string }
	type result struct {
		XMLName    xml.Name `xml:"EnumerationResults"`
		Blobs      []blob   `xml:"Blobs>Blob"`
		NextMarker string
	}
	keys, next := s.list(prefix, after)
	out := result{NextMarker: next}
	for _, key := range keys {
		out.Blobs = append(out.Blobs, blob{key})
	}
	w.Header().Set("Content-Type", "application/xml")
	_, _ = w.Write([]byte("<?xml version=\"1.0\" encoding=\"utf-8\"?>"))
	if len(keys) == 0 {
		_, _ = w.Write([]byte("<EnumerationResults><Blobs /><NextMarker /></EnumerationResults>"))
		return
	}
	_ = xml.NewEncoder(w).Encode(out)
}

// write keeps a block, or makes a blob of those that are named.
func (s *Azure) write(w http.ResponseWriter, r *http.Request, key string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	free, block := r.Header.Get("If-None-Match") == "*", r.URL.Query().Get("blockid")
	switch r.URL.Query().Get("comp") {
	case "block":
		if s.uploads[key] == nil {
			s.uploads[key] = map[string][]byte{}
		}
		s.uploads[key][block] = body
	case "blocklist":
		var want struct {
			Latest []string
		}
		if xml.Unmarshal(body, &want) != nil {
			refuseAzure(w, http.StatusBadRequest, "InvalidXmlDocument")
			return
		}
		if _, taken := s.objects[key]; taken && free {
			refuseAzure(w, http.StatusConflict, "BlobAlreadyExists")
			return
		}
		whole := []byte{}
		for _, id := range want.Latest {
			content, ok := s.uploads[key][id]
			if !ok {
				refuseAzure(w, http.StatusBadRequest, "InvalidBlockList")
				return
			}
			whole = append(whole, content...)
		}
		delete(s.uploads, key)
		s.make(key, whole, free)
	default:
		refuseAzure(w, http.StatusBadRequest, "UnsupportedHeader")
		return
	}
	w.WriteHeader(http.StatusCreated)
}
