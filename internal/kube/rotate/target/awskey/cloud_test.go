package awskey_test

import (
	"context"
	"crypto/rand"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

const (
	user  = "shop-backups"
	admin = "AKIAADMINADMINADMIN1"
)

// accessKey is one of IAM's keys.
type accessKey struct {
	id, secret, user string
	active, deleted  bool
	made, used       time.Time
	// lag is for how many more calls STS does not know of the last change.
	lag     int
	sawGood bool // what STS knows meanwhile
}

func (k *accessKey) good() bool { return k.active && !k.deleted }

// iam speaks the wire of IAM and STS: the Query protocol, answers in XML.
type iam struct {
	*httptest.Server
	mu       sync.Mutex
	keys     []*accessKey
	lag      int      // that of each change
	throttle int      // how many calls are refused as too many
	lose     string   // the action whose next answer is lost
	deny     string   // the action that is not allowed
	actions  []string // that were asked for
}

func startIAM(t testing.TB) *iam {
	c := &iam{keys: []*accessKey{{id: admin, secret: "canary-admin-secret", user: "admin", active: true}}}
	c.Server = httptest.NewTLSServer(c)
	t.Cleanup(c.Close)
	return c
}

type xmlError struct {
	XMLName xml.Name `xml:"ErrorResponse"`
	Type    string   `xml:"Error>Type"`
	Code    string   `xml:"Error>Code"`
	Message string   `xml:"Error>Message"`
	Request string   `xml:"RequestId"`
}

func (c *iam) refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_ = xml.NewEncoder(w).Encode(xmlError{Type: "Sender", Code: code, Message: "canary-message of the server", Request: "r"})
}

func (c *iam) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Method != http.MethodPost || r.ParseForm() != nil {
		c.refuse(w, 400, "MalformedInput")
		return
	}
	action := r.Form.Get("Action")
	c.actions = append(c.actions, action)
	by, service := c.caller(r)
	switch {
	case c.throttle > 0:
		c.throttle--
		c.refuse(w, 400, "Throttling")
	case by == nil || service == "iam" && !by.good():
		c.refuse(w, 403, "InvalidClientTokenId")
	case action == c.deny:
		c.refuse(w, 403, "AccessDenied")
	case service == "sts" && action == "GetCallerIdentity":
		c.whoami(w, by)
	case service == "iam":
		c.manage(w, r, action)
	default:
		c.refuse(w, 400, "InvalidAction")
	}
}

// caller is whose key signed the request, and for which service.
func (c *iam) caller(r *http.Request) (*accessKey, string) {
	auth := r.Header.Get("Authorization")
	scope, ok := strings.CutPrefix(auth, "AWS4-HMAC-SHA256 Credential=")
	parts := strings.Split(strings.SplitN(scope, ",", 2)[0], "/")
	if !ok || len(parts) != 5 || parts[4] != "aws4_request" || !strings.Contains(auth, "Signature=") || r.Header.Get("X-Amz-Date") == "" {
		return nil, ""
	}
	return c.find(parts[0], true), parts[3]
}

func (c *iam) find(id string, deleted bool) *accessKey {
	for _, k := range c.keys {
		if k.id == id && (deleted || !k.deleted) {
			return k
		}
	}
	return nil
}

func (c *iam) change(k *accessKey, to func()) {
	before := k.good()
	to()
	if k.good() != before {
		k.lag, k.sawGood = c.lag, before
	}
}

func (c *iam) whoami(w http.ResponseWriter, by *accessKey) {
	good := by.good()
	if by.lag > 0 {
		by.lag--
		good = by.sawGood
	}
	if !good {
		c.refuse(w, 403, "InvalidClientTokenId")
		return
	}
	fmt.Fprintf(w, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/team/%s</Arn><UserId>AIDA</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`, by.user)
}

func (c *iam) of(name string) []*accessKey {
	var out []*accessKey
	for _, k := range c.keys {
		if k.user == name && !k.deleted {
			out = append(out, k)
		}
	}
	return out
}

func (c *iam) manage(w http.ResponseWriter, r *http.Request, action string) {
	name, id := r.Form.Get("UserName"), r.Form.Get("AccessKeyId")
	var body string
	k := c.find(id, false)
	switch action {
	case "ListAccessKeys":
		for _, k := range c.of(name) {
			body += fmt.Sprintf("<member><UserName>%s</UserName><AccessKeyId>%s</AccessKeyId><Status>Active</Status><CreateDate>%s</CreateDate></member>", name, k.id, k.made.UTC().Format(time.RFC3339))
		}
		body = "<AccessKeyMetadata>" + body + "</AccessKeyMetadata><IsTruncated>false</IsTruncated>"
	case "CreateAccessKey":
		if len(c.of(name)) >= 2 {
			c.refuse(w, 409, "LimitExceeded")
			return
		}
		k = c.add(name)
		body = fmt.Sprintf("<AccessKey><UserName>%s</UserName><AccessKeyId>%s</AccessKeyId><Status>Active</Status><SecretAccessKey>%s</SecretAccessKey></AccessKey>", name, k.id, k.secret)
	case "GetAccessKeyLastUsed", "UpdateAccessKey", "DeleteAccessKey":
		if k == nil || name != "" && k.user != name {
			c.refuse(w, 404, "NoSuchEntity")
			return
		}
		switch action {
		case "UpdateAccessKey":
			c.change(k, func() { k.active = r.Form.Get("Status") == "Active" })
		case "DeleteAccessKey":
			c.change(k, func() { k.deleted = true })
		default:
			body = "<UserName>" + k.user + "</UserName><AccessKeyLastUsed><Region>N/A</Region><ServiceName>N/A</ServiceName></AccessKeyLastUsed>"
			if !k.used.IsZero() {
				body = "<UserName>" + k.user + "</UserName><AccessKeyLastUsed><Region>eu-central-1</Region><ServiceName>s3</ServiceName><LastUsedDate>" + k.used.UTC().Format(time.RFC3339) + "</LastUsedDate></AccessKeyLastUsed>"
			}
		}
	default:
		c.refuse(w, 400, "InvalidAction")
		return
	}
	if action == c.lose {
		c.lose = ""
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, `<%[1]sResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><%[1]sResult>%[2]s</%[1]sResult></%[1]sResponse>`, action, body)
}

func (c *iam) add(name string) *accessKey {
	k := &accessKey{id: "AKIA" + rand.Text()[:16], secret: "canary-" + rand.Text(), user: name, active: true, lag: c.lag, made: time.Now()}
	c.keys = append(c.keys, k)
	return k
}

// with does something to the server between requests.
func (c *iam) with(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	do()
}

// works reports whether a key is in force.
func (c *iam) works(id, secret string) (ok bool) {
	c.with(func() {
		ok = slices.ContainsFunc(c.keys, func(k *accessKey) bool { return k.id == id && k.secret == secret && k.good() })
	})
	return ok
}

// cluster has the admin's key.
type cluster struct{}

func (cluster) SecretKey(_ context.Context, ref provider.Ref, key string) (redact.Secret, error) {
	return redact.FromString(map[string]string{
		"accessKeyID": admin, "secretAccessKey": "canary-admin-secret",
	}[key]), nil
}
func (cluster) ConfigMapKey(context.Context, provider.Ref, string) (string, error) { return "", nil }
func (cluster) ServiceAccountToken(context.Context, provider.Ref, []string) (redact.Secret, error) {
	return redact.Secret{}, nil
}
func (cluster) ServiceAccountAnnotations(context.Context, provider.Ref) (map[string]string, error) {
	return nil, nil
}
