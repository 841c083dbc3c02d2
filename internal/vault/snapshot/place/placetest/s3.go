package placetest

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // what ETags are
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// The only access key of S3, and its region.
const (
	S3ID     = "AKIAEXAMPLEEXAMPLE01"
	S3Secret = Canary + "-secret-access-key"
	S3Region = "eu-central-1"
)

// S3 is a server that speaks its protocol, with path style.
type S3 struct {
	*Store
	URL string
}

// NewS3 returns one that runs until the test's end.
func NewS3(t testing.TB) *S3 {
	s := &S3{Store: newStore()}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

func refuseS3(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>` + code + `</Code><Message>x-amz-security-token:` + Canary + `</Message><RequestId>1</RequestId></Error>`))
}

// signed checks Signature Version 4 by making it again with the SDK's own signer.
func signed(r *http.Request, body []byte) (code string) {
	parts := map[string]string{}
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		parts[name] = value
	}
	scope := strings.Split(parts["Credential"], "/")
	if scheme != "AWS4-HMAC-SHA256" || len(scope) != 5 || scope[3] != "s3" {
		return "AccessDenied"
	}
	if scope[0] != S3ID {
		return "InvalidAccessKeyId"
	}
	if scope[2] != S3Region {
		return "AuthorizationHeaderMalformed"
	}
	return resigned(r, body, parts["SignedHeaders"])
}

// resigned makes the signature again.
func resigned(r *http.Request, body []byte, headers string) (code string) {
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	sum := sha256.Sum256(body)
	if err != nil || r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]) {
		return "XAmzContentSHA256Mismatch"
	}
	again, _ := http.NewRequestWithContext(context.Background(), r.Method, "http://"+r.Host+r.URL.RequestURI(), bytes.NewReader(body))
	again.ContentLength = 0
	for name := range strings.SplitSeq(headers, ";") {
		switch name {
		case "host":
		case "content-length":
			again.ContentLength = r.ContentLength
		default:
			again.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	creds := aws.Credentials{AccessKeyID: S3ID, SecretAccessKey: S3Secret}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if signer.SignHTTP(context.Background(), creds, again, hex.EncodeToString(sum[:]), "s3", S3Region, at) != nil ||
		again.Header.Get("Authorization") != r.Header.Get("Authorization") {
		return "SignatureDoesNotMatch"
	}
	return ""
}

func statusOf(code string) int {
	if code == "AuthorizationHeaderMalformed" || code == "XAmzContentSHA256Mismatch" {
		return http.StatusBadRequest
	}
	return http.StatusForbidden
}

// ServeHTTP implements http.Handler.
func (s *S3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, whole := s.content(r)
	if !whole {
		return
	}
	if code := signed(r, body); code != "" {
		refuseS3(w, statusOf(code), code)
		return
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	q := r.URL.Query()
	switch {
	case bucket != BucketName:
		refuseS3(w, http.StatusNotFound, "NoSuchBucket")
	case key == "" && r.Method == http.MethodGet && q.Get("list-type") == "2":
		s.listing(w, q.Get("prefix"), q.Get("continuation-token"))
	case key == "":
		refuseS3(w, http.StatusNotImplemented, "NotImplemented")
	case q.Has("uploads") || q.Has("uploadId"):
		s.parts(w, r, key, body)
	default:
		s.one(w, r, key, body)
	}
}

func (s *S3) listing(w http.ResponseWriter, prefix, after string) {
	type object struct {
		Key  string
		Size int
	}
	type result struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
		Contents              []object
	}
	keys, next := s.list(prefix, after)
	out := result{IsTruncated: next != "", NextContinuationToken: next}
	for _, key := range keys {
		out.Contents = append(out.Contents, object{Key: key})
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(out)
}

func (s *S3) one(w http.ResponseWriter, r *http.Request, key string, body []byte) {
	switch r.Method {
	case http.MethodPut:
		ok := false
		s.with(func() { ok = s.allows(w, r) && s.made(w, r, key, body) })
		if ok {
			w.Header().Set("ETag", etag(body))
		}
	case http.MethodDelete:
		s.remove(key)
		w.WriteHeader(http.StatusNoContent)
	case http.MethodGet:
		content, ok := s.object(key)
		if !ok {
			refuseS3(w, http.StatusNotFound, "NoSuchKey")
			return
		}
		w.Header().Set("ETag", etag(content))
		s.send(w, content, r.Header.Get("Range"))
	}
}

// allows refuses a condition that the store does not know.
func (s *S3) allows(w http.ResponseWriter, r *http.Request) bool {
	if s.simple && r.Header.Get("If-None-Match") != "" {
		refuseS3(w, http.StatusNotImplemented, "NotImplemented")
		return false
	}
	return true
}

// made makes an object, or refuses.
func (s *S3) made(w http.ResponseWriter, r *http.Request, key string, content []byte) bool {
	ok := s.make(key, content, r.Header.Get("If-None-Match") == "*")
	if !ok {
		refuseS3(w, http.StatusPreconditionFailed, "PreconditionFailed")
	}
	return ok
}

func etag(b []byte) string {
	sum := md5.Sum(b) //nolint:gosec // what ETags are
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// parts are uploads part by part.
func (s *S3) parts(w http.ResponseWriter, r *http.Request, key string, body []byte) {
	q := r.URL.Query()
	id := q.Get("uploadId")
	s.mu.Lock()
	defer s.mu.Unlock()
	up, known := s.uploads[id]
	switch {
	case q.Has("uploads"):
		s.serial++
		id = "upload-" + itoa(s.serial)
		s.uploads[id] = map[string][]byte{}
		_, _ = w.Write([]byte("<InitiateMultipartUploadResult><UploadId>" + id + "</UploadId></InitiateMultipartUploadResult>"))
	case !known:
		refuseS3(w, http.StatusNotFound, "NoSuchUpload")
	case r.Method == http.MethodPut:
		up[q.Get("partNumber")] = body
		w.Header().Set("ETag", etag(body))
	case r.Method == http.MethodDelete:
		delete(s.uploads, id)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPost && s.allows(w, r):
		if whole, ok := s.complete(w, id, body); ok && s.made(w, r, key, whole) {
			delete(s.uploads, id)
			_, _ = w.Write([]byte("<CompleteMultipartUploadResult><Key>x</Key><ETag>" + `"1-x"` + "</ETag></CompleteMultipartUploadResult>"))
		}
	}
}

// complete puts together the parts that are named: all but the last have 5 MiB at least.
func (s *S3) complete(w http.ResponseWriter, id string, body []byte) (whole []byte, ok bool) {
	var want struct {
		Parts []struct {
			ETag       string
			PartNumber int
		} `xml:"Part"`
	}
	if xml.Unmarshal(body, &want) != nil || len(want.Parts) == 0 {
		refuseS3(w, http.StatusBadRequest, "MalformedXML")
		return nil, false
	}
	for i, p := range want.Parts {
		content, ok := s.uploads[id][strconv.Itoa(p.PartNumber)]
		if !ok || p.PartNumber != i+1 || p.ETag != etag(content) || i < len(want.Parts)-1 && len(content) < 5<<20 {
			refuseS3(w, http.StatusBadRequest, "InvalidPart")
			return nil, false
		}
		whole = append(whole, content...)
	}
	return whole, true
}
