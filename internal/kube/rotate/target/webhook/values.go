package webhook

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"regexp"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/shelf"
)

const maxProperties = 64

var properties = regexp.MustCompile(`^[A-Za-z0-9._-]{1,253}$`)

// valuesOf reads the answer to "stage": {"values":{"PROPERTY":"TEXT"}}. No error
// quotes it.
func valuesOf(text []byte) (shelf.Values, error) {
	var answer struct {
		Values map[string]json.RawMessage `json:"values"`
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if dec.Decode(&answer) != nil || dec.Decode(&struct{}{}) != io.EOF {
		return nil, errs.New(errs.Invalid, `the webhook's answer to "stage" is not {"values":{"PROPERTY":"VALUE"}}`)
	}
	if len(answer.Values) == 0 || len(answer.Values) > maxProperties {
		return nil, errs.Newf(errs.Invalid, `the webhook's answer to "stage" has %d values, want from 1 to %d`, len(answer.Values), maxProperties)
	}
	for property, value := range answer.Values {
		if !properties.MatchString(property) {
			return nil, errs.New(errs.Invalid, `the webhook's answer to "stage" has a value whose name is none: letters, digits, '.', '_' and '-'`)
		}
		if raw := bytes.TrimSpace(value); len(raw) == 0 || string(raw) == "null" || string(raw) == `""` {
			return nil, errs.Newf(errs.Invalid, `the webhook's answer to "stage" has nothing as %q`, property)
		}
	}
	return answer.Values, nil
}

// certificateFault says what is wrong with a server's certificate; "" when it is
// something else.
func certificateFault(err error) string {
	var fault *tls.CertificateVerificationError
	if !errors.As(err, &fault) || fault.Err == nil {
		return ""
	}
	return fault.Err.Error()
}
