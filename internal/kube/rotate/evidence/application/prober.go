package application

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
)

const (
	maxAnswer = 4 << 10
	nonceSize = 32
)

// Config is what a Prober needs. Zero values have the defaults named.
type Config struct {
	Timeout  time.Duration // for one pod; 2 s
	Parallel int           // pods asked at once; 64
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)
}

// Prober asks pods. It is safe for concurrent use and keeps nothing.
type Prober struct {
	timeout  time.Duration
	parallel int
	client   *http.Client
}

// New returns a Prober.
func New(c Config) *Prober {
	p := &Prober{timeout: c.Timeout, parallel: c.Parallel}
	if p.timeout <= 0 {
		p.timeout = 2 * time.Second
	}
	if p.parallel <= 0 {
		p.parallel = 64
	}
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	p.client = &http.Client{
		Transport: &http.Transport{
			DialContext: dial, Proxy: nil, DisableKeepAlives: true, DisableCompression: true,
			MaxResponseHeaderBytes: 16 << 10,
			// A pod has no name that a certificate could be for; as in the kubelet's own
			// probes its address is who it is. An answer by digest needs no trust in the wire.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}, //nolint:gosec // see above
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return p
}

// Question is what pods are asked.
type Question struct {
	Rotation string // namespace/name
	Version  string
	// Fed are the Secrets that hold the credential: digests are compared with those
	// of them that the pod uses.
	Fed      []consumer.Fed
	Contents evidence.Contents
}

// Ask asks every pod that has a way to answer, and returns their words; pods
// without are not in it. It ends when all have answered or ctx does.
func (p *Prober) Ask(ctx context.Context, q Question, pods []consumer.Pod) map[types.UID]evidence.Word {
	s := &session{Prober: p, Question: q, known: newContents(ctx, q)}
	var (
		mu    sync.Mutex
		out   = make(map[types.UID]evidence.Word)
		wg    sync.WaitGroup
		slots = make(chan struct{}, p.parallel)
	)
	for i := range pods {
		pod := &pods[i]
		if pod.Annotations[evidence.AnnotationPath] == "" {
			if version, ok := evidence.Declared(pod.Annotations, q.Rotation); ok {
				mu.Lock()
				out[pod.UID] = s.version(version, "its annotation")
				mu.Unlock()
			}
			continue
		}
		slots <- struct{}{} // each asks for at most the timeout, and not at all once ctx is over
		wg.Go(func() {
			defer func() { <-slots }()
			w := s.ask(ctx, pod)
			mu.Lock()
			defer mu.Unlock()
			out[pod.UID] = w
		})
	}
	wg.Wait()
	return out
}

// session is one call of Ask.
type session struct {
	*Prober
	Question
	known *contents
}

func unknown(format string, args ...any) evidence.Word {
	return evidence.Word{Text: fmt.Sprintf(format, args...)}
}

func (s *session) ask(ctx context.Context, pod *consumer.Pod) evidence.Word {
	if ctx.Err() != nil {
		return unknown("there was no time to ask it")
	}
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // never fails (crypto/rand)
	where, err := endpoint(pod, s.Rotation, nonce)
	if err != nil {
		return unknown("it cannot be asked: %v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where.String(), nil)
	if err != nil {
		return unknown("it cannot be asked: its proof path is no path")
	}
	req.Header.Set("User-Agent", "strongkeep-proof")
	req.Header.Set("Accept", "application/json")
	res, err := s.client.Do(req)
	if err != nil {
		return unknown("asking %s: %s", where.Host, cause(err))
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return unknown("asking %s: status %d", where.Host, res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil || len(body) > maxAnswer {
		return unknown("asking %s: the answer ends early, or has more than %d bytes", where.Host, maxAnswer)
	}
	return s.judge(pod, nonce, body)
}

// address returns a pod's address, if it can be one.
func address(s string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(s)
	if err != nil {
		return ip, errors.New("it has no address yet")
	}
	if ip = ip.Unmap(); ip.Zone() != "" || ip.IsUnspecified() || ip.IsLoopback() || ip.IsMulticast() || ip.IsLinkLocalUnicast() {
		return ip, errors.New("its address is none of a pod")
	}
	return ip, nil
}

// endpoint returns where a pod is asked: at its own address, whatever else its
// annotations say. On its node's network that is the address of others too, and
// only a port that the pod declares is its own: Kubernetes gives it to no other.
func endpoint(pod *consumer.Pod, rotation string, nonce []byte) (*url.URL, error) {
	if pod.Cluster != "" {
		return nil, errors.New("pods of other clusters are not reached")
	}
	ip, err := address(pod.IP)
	if err != nil {
		return nil, err
	}
	path := pod.Annotations[evidence.AnnotationPath]
	if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "?#") {
		return nil, fmt.Errorf("annotation %s must be a path that begins with a slash", evidence.AnnotationPath)
	}
	port, err := portOf(pod)
	if err != nil {
		return nil, err
	}
	scheme := pod.Annotations[evidence.AnnotationScheme]
	switch scheme {
	case "":
		scheme = "http"
	case "http", "https":
	default:
		return nil, fmt.Errorf("annotation %s must be http or https", evidence.AnnotationScheme)
	}
	return &url.URL{
		Scheme: scheme, Host: netip.AddrPortFrom(ip, port).String(), Path: path,
		RawQuery: url.Values{"rotation": {rotation}, "nonce": {base64.RawURLEncoding.EncodeToString(nonce)}}.Encode(),
	}, nil
}

// portOf returns the port that a pod is asked at.
func portOf(pod *consumer.Pod) (uint16, error) {
	port := uint64(8080)
	if s := pod.Annotations[evidence.AnnotationPort]; s != "" {
		var err error
		if port, err = strconv.ParseUint(s, 10, 16); err != nil || port == 0 {
			return 0, fmt.Errorf("annotation %s must be a port's number", evidence.AnnotationPort)
		}
	}
	if pod.HostNetwork && !slices.Contains(pod.Ports, int32(port)) {
		return 0, fmt.Errorf("it is on its node's network, where port %d may be anybody's: declare it among the container's ports", port)
	}
	return uint16(port), nil
}

// cause says what went wrong in words of ours: what the other side sends is not
// shown.
func cause(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to it"
	}
	return "the connection failed"
}

// answer is what an application says. What it does not say is empty.
type answer struct {
	Version string `json:"version"`
	Key     string `json:"key"`
	Digest  string `json:"digest"`
}

func parse(body []byte) (answer, []byte, error) {
	var a answer
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(&a); err != nil || d.More() {
		return answer{}, nil, errors.New("its answer is no JSON object of the shape in docs/rotation/evidence.md")
	}
	if a.Digest == "" {
		if a.Version == "" {
			return answer{}, nil, errors.New("its answer has neither a version nor a digest")
		}
		return a, nil, nil
	}
	sum, err := base64.StdEncoding.DecodeString(a.Digest)
	if err != nil || a.Key == "" || len(a.Key) > 253 {
		return answer{}, nil, errors.New("its answer's digest is no base64, or has no key beside it")
	}
	return a, sum, nil
}

// judge compares an answer with what is wanted. An application that says both
// must be right in both.
func (s *session) judge(pod *consumer.Pod, nonce, body []byte) evidence.Word {
	a, sum, err := parse(body)
	if err != nil {
		return unknown("%v", err)
	}
	if a.Version != "" {
		if w := s.version(a.Version, "its answer"); w.Answer != evidence.Yes || sum == nil {
			return w
		}
	}
	asked, wrong := false, ""
	for _, secret := range s.known.of(pod) {
		values, err := s.known.get(secret)
		if err != nil {
			wrong = "its answer cannot be compared: Secret " + secret.Name + " cannot be read, or does not hold version " + s.Version
			continue
		}
		value, ok := values[a.Key]
		if !ok {
			continue
		}
		asked = true
		if hmac.Equal(sum, evidence.Digest(nonce, value.Reveal())) {
			return evidence.Word{Answer: evidence.Yes, Text: "it uses the value of key " + a.Key + " of Secret " + secret.Name}
		}
	}
	switch {
	case wrong != "":
		return unknown("%s", wrong)
	case !asked:
		return unknown("its answer is about a key that none of its Secrets has, or that is not known to have changed with version %s", s.Version)
	}
	return evidence.Word{Answer: evidence.No, Text: "the value that it uses for key " + a.Key + " is another one"}
}

// version compares what an application says. A text of its own is shown only if
// it can be a version.
func (s *session) version(said, where string) evidence.Word {
	if said == s.Version {
		return evidence.Word{Answer: evidence.Yes, Text: where + " says version " + s.Version}
	}
	if len(said) <= 20 && strings.Trim(said, "0123456789") == "" {
		return evidence.Word{Answer: evidence.No, Text: where + " says version " + said}
	}
	return evidence.Word{Answer: evidence.No, Text: where + " says another version"}
}
