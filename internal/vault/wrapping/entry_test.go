package wrapping

import (
	"bytes"
	"errors"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func TestEntryRoundTrip(t *testing.T) {
	for _, a := range []Answer{
		{200, jsonType, []byte(`{"a":"é\u0000","b":[1]}` + "\n")},
		{202, jsonType, []byte(`{}`)},
		{200, "application/x-pem-file", []byte{0, 0xff, '"', '\\'}},
	} {
		got, err := decode(a.encode().Raw())
		if err != nil || got.Status != a.Status || got.ContentType != a.ContentType || !bytes.Equal(got.Body, a.Body) {
			t.Errorf("%+v became %+v, %v", a, got, err)
		}
	}
}

// Who holds a wrapping token may write its cubbyhole: what is there need not be ours.
func TestForeignEntries(t *testing.T) {
	for _, entry := range []string{
		`{}`, `{"response":""}`, `{"response":{"a":1}}`, `{"raw":"!","status":200}`, `{"raw":"YQ==","status":404}`,
		`{"raw":"YQ=="}`, `{"raw":"YQ==","status":"x"}`, `{"raw":["a"],"status":200}`,
	} {
		if a, err := decode(jsontext.Value(entry)); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %+v %v", entry, a, err)
		}
	}
	if _, err := decode(jsontext.Value(`{"a`)); !errs.Is(err, errs.Internal) {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"response":"{}"}`))
	f.Add([]byte(`{"content_type":"text/plain","raw":"YQ==","status":200}`))
	f.Fuzz(func(t *testing.T, entry []byte) {
		a, err := decode(entry)
		if err != nil {
			return
		}
		again, err := decode(a.encode().Raw())
		if err != nil || !bytes.Equal(again.Body, bytes.ToValidUTF8(a.Body, []byte("\uFFFD"))) && !bytes.Equal(again.Body, a.Body) {
			t.Errorf("%q became %+v, %v", entry, again, err)
		}
	})
}
