package awskey

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/shelf"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// answerer answers everything with the same.
type answerer struct {
	status int
	body   []byte
}

func (a answerer) Do(req *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: a.status, Header: http.Header{"Content-Type": {"text/xml"}}, Body: io.NopCloser(bytes.NewReader(a.body)), Request: req, ContentLength: int64(len(a.body)),
	}, nil
}

// Whatever a server answers, a key that is taken has an id and a secret, ids are
// ids, and no error quotes the answer beyond its code.
func FuzzAnswers(f *testing.F) {
	f.Add(200, []byte(`<CreateAccessKeyResponse><CreateAccessKeyResult><AccessKey><AccessKeyId>AKIAAAAAAAAAAAAAAAAA</AccessKeyId><SecretAccessKey>canary</SecretAccessKey></AccessKey></CreateAccessKeyResult></CreateAccessKeyResponse>`))
	f.Add(200, []byte(`<ListAccessKeysResponse><ListAccessKeysResult><AccessKeyMetadata><member><AccessKeyId>canary; rm</AccessKeyId></member></AccessKeyMetadata></ListAccessKeysResult></ListAccessKeysResponse>`))
	f.Add(403, []byte(`<ErrorResponse><Error><Code>AccessDenied</Code><Message>canary</Message></Error></ErrorResponse>`))
	f.Add(503, []byte(`<html>canary`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 100 || status > 999 {
			return
		}
		k := key{spec: v1alpha1.AWSAccessKeyTarget{UserName: "u", Region: "us-east-1"}, kind: Kind{HTTP: answerer{status, body}}}
		by := pair{"AKIABBBBBBBBBBBBBBBB", redact.FromString("s")}
		c, err := k.manager(t.Context(), shelf.Values{propertyID: shelf.Text(redact.FromString(by.id)), propertySecret: shelf.Text(by.secret)})
		if err != nil {
			t.Fatal(err)
		}
		ids, listing := c.list(t.Context())
		for _, id := range ids {
			if !keyIDs.MatchString(id) {
				t.Errorf("%q is taken for an id", id)
			}
		}
		made, making := c.create(t.Context())
		if making == nil && (!made.whole() || !keyIDs.MatchString(made.id)) {
			t.Error("half a key was taken")
		}
		_, using := c.lastUsed(t.Context(), by.id)
		_, err = k.whoami(t.Context(), by)
		for _, err := range []error{listing, making, using, fail("asking", err)} {
			if err != nil && strings.Contains(err.Error(), "canary") && code(err) == "" && !bytes.Contains(body, []byte("<Code>")) {
				t.Errorf("%v quotes the answer", err)
			}
		}
	})
}
