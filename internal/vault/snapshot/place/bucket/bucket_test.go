package bucket_test

import (
	"context"
	"errors"
	"io"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/bucket"
)

func TestPart(t *testing.T) {
	source := strings.NewReader("0123456789")
	for n, c := range map[int64]struct {
		size int64
		want string
	}{0: {3, "012"}, 3: {6, "345678"}, 9: {1, "9"}} {
		if err := iotest.TestReader(bucket.PartOf(source, n, c.size), []byte(c.want)); err != nil {
			t.Error(err)
		}
	}
	if _, err := io.ReadAll(bucket.PartOf(source, 8, 5)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a source that is too short: %v", err)
	}
	for size, parts := range map[int64]int64{1: 1, 16 << 20: 1, 16<<20 + 1: 2, 4 << 40: 9000} {
		if n := (size + bucket.PartSize(size) - 1) / bucket.PartSize(size); n != parts {
			t.Errorf("%d bytes are %d parts, not %d", size, n, parts)
		}
	}
}

// A failure has a kind and a text on one line, and nothing that a client may quote.
func TestFail(t *testing.T) {
	const canary = "canary-1f9a"
	quoting := &url.Error{Op: "Get", URL: "https://x/?sig=" + canary, Err: errors.New("connection refused\n")}
	for _, c := range []struct {
		a    bucket.Answer
		kind errs.Kind
		says string
	}{
		{bucket.Answer{Err: quoting}, errs.Unavailable, "connection refused?"},
		{bucket.Answer{Err: errors.New(canary)}, errs.Unavailable, "no answer"},
		{bucket.Answer{Err: context.Canceled}, errs.Unavailable, "cancelled"},
		{bucket.Answer{Status: 403, Code: "InvalidAccessKeyId", Err: quoting}, errs.Unauthenticated, "InvalidAccessKeyId"},
		{bucket.Answer{Status: 403, Code: "AccessDenied"}, errs.Denied, "may not"},
		{bucket.Answer{Status: 403, Code: canary + "\n"}, errs.Denied, "403"},
		{bucket.Answer{Status: 404, Code: "NoSuchKey"}, errs.NotExist, "not there"},
		{bucket.Answer{Status: 404, Code: "NoSuchBucket"}, errs.Invalid, "no such bucket"},
		{bucket.Answer{Status: 301, Code: "PermanentRedirect"}, errs.Invalid, "another region"},
		{bucket.Answer{Status: 503, Code: "SlowDown"}, errs.Unavailable, "SlowDown"},
		{bucket.Answer{Status: 400, Code: "x"}, errs.Invalid, "400"},
	} {
		err := bucket.Fail("reading", c.a)
		if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v", c.a, err)
		}
	}
}

func TestCA(t *testing.T) {
	if _, err := bucket.Client("no certificate"); !errs.Is(err, errs.Invalid) {
		t.Error(err)
	}
}
