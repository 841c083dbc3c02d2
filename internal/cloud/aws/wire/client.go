package wire

import (
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

// CallTimeout bounds one call, retries included.
const CallTimeout = 30 * time.Second

// maxBody bounds an answer: twenty secrets of 64 KiB in base64 are below 2 MiB.
const maxBody = 8 << 20

// Client is what every client of a store's services is made with.
type Client struct {
	Region  string
	HTTP    *http.Client
	Retryer aws.Retryer
}

// Retry bounds the retries of one call. Zero values mean the default.
type Retry struct {
	Max  *int          // nil: default; 0: no retry
	Wait time.Duration // between tries
}

// NewClient returns what clients for region are made with.
func NewClient(region string, r Retry) Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 32
	return Client{
		Region:  region,
		HTTP:    &http.Client{Transport: bounded{transport}, CheckRedirect: noRedirect},
		Retryer: retryer(r),
	}
}

// Direct is for what is asked on the machine itself, an instance's metadata say: it goes by no proxy, which
// would have the credentials of its own machine to give, or be given ours.
func (c Client) Direct() Client {
	transport := c.HTTP.Transport.(bounded).Clone()
	transport.Proxy = nil
	c.HTTP = &http.Client{Transport: bounded{transport}, CheckRedirect: noRedirect}
	return c
}

// noRedirect is there because no service of AWS redirects: a signature is for one host.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// bounded ends every answer after maxBody.
type bounded struct{ *http.Transport }

// body is a request's, which is read and closed and nothing else. The SDK closes it as
// soon as the answer's header is there, and its WriteTo fails then: a Transport that has
// sent it all, and only looks whether that was all, would take it for a failure and
// close the connection, amid the answer or instead of using it again.
type body struct{ io.ReadCloser }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil && req.Body != http.NoBody {
		req = req.WithContext(req.Context()) // a copy: what is given is not to be changed
		req.Body = body{req.Body}
	}
	answer, err := b.Transport.RoundTrip(req)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxBody)
	}
	return answer, err
}

// retryer tries three times within about a second, or as r says. How long
// a service that throttles is left alone is the caller's to know.
func retryer(r Retry) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.RateLimiter = ratelimit.None
		o.MaxAttempts = 3
		o.MaxBackoff = time.Second
		if r.Max != nil {
			o.MaxAttempts = *r.Max + 1
		}
		if r.Wait > 0 {
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return r.Wait, nil })
		}
	})
}

// Text returns a pointer to s, nil when it is empty.
func Text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
