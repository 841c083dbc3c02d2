package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/shelf"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// APIVersion is that of the requests.
const APIVersion = "strongkeep.io/webhook/v1"

// SignatureHeader holds "t=UNIX,v1=HEX": the time in seconds, and the HMAC-SHA256
// by the signing key of that time in decimal, a dot, and the body.
const SignatureHeader = "Strongkeep-Signature"

// act is one act of a turn.
type act struct {
	name string
	turn target.Turn
	side target.Side
}

// request is the body:
//
//	{"apiVersion":"strongkeep.io/webhook/v1","action":"stage","rotation":"shop/partner","turn":3,"side":"new","fence":12}
type request struct {
	APIVersion string `json:"apiVersion"`
	Action     string `json:"action"`
	Rotation   string `json:"rotation"`
	Turn       int64  `json:"turn"`
	Side       string `json:"side"`
	// Fence grows from act to act of a turn; one that is lower than what was seen
	// comes late, and is to be refused with 409.
	Fence int64 `json:"fence,omitempty"`
}

// minKey is the least length of a signing key: that of its hash's output (RFC
// 2104, section 3, discourages less).
const minKey = 32

func (h hook) key(ctx context.Context) (redact.Secret, error) {
	const field = "spec.target.webhook.signingSecret"
	ref, err := h.cfg.Scope.Ref(field, nil, h.spec.SigningSecret)
	if err != nil {
		return redact.Secret{}, err
	}
	key, err := h.cfg.Cluster.SecretKey(ctx, ref, "key")
	if err != nil {
		return key, errs.Newf(errs.KindOf(err), "%s: %w", field, err)
	}
	if key.Len() < minKey {
		return key, errs.Newf(errs.Invalid, "%s: the key of %q has %d bytes: make one of %d at least, such as with: openssl rand -hex 32", field, h.spec.SigningSecret, key.Len(), minKey)
	}
	return key, nil
}

// Sign returns what the signature header holds.
func Sign(key []byte, at time.Time, body []byte) string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(stamp + "."))
	mac.Write(body)
	return "t=" + stamp + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// post sends an act and returns the body of a 200. hidden are values that no
// message of the endpoint may hold.
func (h hook) post(ctx context.Context, a act, hidden []shelf.Values) ([]byte, error) {
	key, err := h.key(ctx)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(request{APIVersion, a.name, a.turn.Rotation, a.turn.Number, a.side.String(), a.turn.Fence})
	if err != nil {
		return nil, errs.As(errs.Internal, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.spec.URL, bytes.NewReader(body))
	if err != nil {
		return nil, errs.New(errs.Invalid, "spec.target.webhook.url is no address")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "strongkeep")
	req.Header.Set(SignatureHeader, Sign(key.Reveal(), h.cfg.Clock.Now(), body))
	answer, err := h.client.Do(req)
	if err != nil {
		return nil, h.unreached(a, err)
	}
	defer answer.Body.Close() //nolint:errcheck // read, or given up
	text, err := outbound.ReadAll(answer)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "the webhook's answer to %q: %w", a.name, err)
	}
	return text, judge(a, answer.StatusCode, text, append(hidden, shelf.Values{"key": shelf.Text(key)}))
}

// unreached says why there is no answer, without the address's query, which may
// hold a token.
func (h hook) unreached(a act, err error) error {
	host := "the webhook"
	if u, bad := outbound.URL("url", h.spec.URL); bad == nil {
		host += " at " + u.Host
	}
	if errs.Is(err, errs.Denied) {
		return errs.Newf(errs.Denied, "%s has an address of the operator's own machine or network, which is not reached for others", host)
	}
	if cause := certificateFault(err); cause != "" {
		return errs.Newf(errs.Unavailable, "%s is not known by spec.target.webhook.caBundle, or by the system: %s", host, cause)
	}
	return errs.Newf(errs.Unavailable, "%s does not answer to %q: it is tried again", host, a.name)
}

// judge makes an error of an answer that is not 200.
func judge(a act, status int, text []byte, hidden []shelf.Values) error {
	if status == http.StatusOK {
		return nil
	}
	message := "the webhook answers " + strconv.Itoa(status) + " to " + strconv.Quote(a.name)
	if said := said(text, hidden); said != "" {
		message += ": " + said
	}
	switch {
	case status == http.StatusAccepted:
		return target.Pending(message)
	case status == http.StatusConflict:
		return errs.New(errs.Conflict, message)
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
		return errs.New(errs.Unavailable, message)
	case status >= 300 && status < 400:
		return errs.New(errs.Invalid, message+": redirects are not followed; set spec.target.webhook.url to where it is")
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return errs.New(errs.Denied, message+": is the key of the signing Secret the one that it checks by?")
	}
	return errs.New(errs.Invalid, message)
}

// maxSaid is how much of a message is told, in bytes.
const maxSaid = 256

// said returns the message of an answer, made fit to be told; nothing when it
// holds a part of what must not be.
func said(text []byte, hidden []shelf.Values) string {
	var answer struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(text, &answer) != nil {
		return ""
	}
	for _, values := range hidden {
		for _, raw := range values {
			var value string
			if json.Unmarshal(raw, &value) != nil {
				value = string(raw)
			}
			if len(value) >= 4 && value != "null" && strings.Contains(answer.Message, value) {
				return "(its message is withheld: it holds a secret)"
			}
		}
	}
	message := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, answer.Message)
	if len(message) > maxSaid {
		message = strings.ToValidUTF8(message[:maxSaid], "") + "…"
	}
	return message
}
