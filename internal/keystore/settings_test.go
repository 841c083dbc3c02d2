package keystore_test

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
)

func TestOpen(t *testing.T) {
	var got string
	kinds := map[string]keystore.Opener{
		"file":   func(s []byte) (keystore.Versioned, error) { got = string(s); return nil, nil },
		"broken": func([]byte) (keystore.Versioned, error) { return nil, errs.New(errs.Denied, "canary") },
	}
	if _, err := keystore.Open(kinds, []byte(`{"file":{"path":"x"}}`)); err != nil || got != `{"path":"x"}` {
		t.Errorf("opened with %q, %v", got, err)
	}
	for settings, c := range map[string]struct {
		kind errs.Kind
		say  string
	}{
		`{}`:                        {errs.Invalid, "0 key stores"},
		`{"file":{},"broken":{}}`:   {errs.Invalid, "2 key stores"},
		`{"file":{},"file":{}}`:     {errs.Invalid, "kinds are broken, file"},
		`[]`:                        {errs.Invalid, "kinds are"},
		``:                          {errs.Invalid, "kinds are"},
		`{"none":{}}`:               {errs.Invalid, `no kind of key store "none"`},
		`{"broken":{"secret":"x"}}`: {errs.Denied, "key store broken: canary"},
	} {
		if _, err := keystore.Open(kinds, []byte(settings)); !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v, want kind %v saying %q", settings, err, c.kind, c.say)
		}
	}
}
