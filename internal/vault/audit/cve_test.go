package audit

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

// OpenBao logged bodies that are no JSON in the clear. Here they are hashed, in
// both directions and whatever the device's options.
func TestCVE202562513RawBodiesAreHashed(t *testing.T) {
	const canary = "hunter2-canary"
	for _, format := range []Format{{HMACAccessor: true}, {LogRaw: true}} {
		c := testEncoder(format)
		s := c.Get()
		line := string(c.line(s, &Entry{
			Type: TypeResponse, Time: time.Unix(1, 0),
			Request:  &Request{ID: "1", Path: "pki/ocsp", Data: []byte("\x30\x82" + canary)},
			Response: &Response{Raw: &Raw{Status: 200, ContentType: "application/ocsp-response", Body: []byte(canary)}},
		}))
		c.Put(s)
		if strings.Contains(line, canary) || strings.Count(line, "hmac-sha256:") != 2 {
			t.Errorf("%+v: %s", format, line)
		}
	}
}

// OpenBao did not hash fields of type []byte. Here a line is made from JSON
// text: every string in it is hashed, wherever it stands and whatever it
// encodes.
func TestCVE202562705BytesAreHashed(t *testing.T) {
	const canary = "hunter2-canary"
	encoded := base64.StdEncoding.EncodeToString([]byte(canary))
	c := testEncoder(Format{HMACAccessor: true})
	for _, data := range []string{
		`"` + encoded + `"`,
		`{"a":"` + encoded + `"}`,
		`{"a":["` + canary + `",["` + encoded + `"]]}`,
		`{"a":{"b":[{"c":"` + canary + `"}]}}`,
		`[` + strings.Repeat(`{"a":`, 70) + `"` + canary + `"` + strings.Repeat(`}`, 70) + `]`,
		`{"a":"` + canary + `"`, // no JSON
		canary,
		strings.Repeat(`["`+canary+`",`, 3),
	} {
		s := c.Get()
		line := c.line(s, &Entry{Type: TypeResponse, Time: time.Unix(1, 0), Request: &Request{ID: "1", Data: []byte(data)}, Response: &Response{Data: []byte(data)}})
		if bytes.Contains(line, []byte(canary)) || bytes.Contains(line, []byte(encoded)) || bytes.Count(line, []byte("hmac-sha256:")) < 2 {
			t.Errorf("%.100s: %s", data, line)
		}
		c.Put(s)
	}
}
