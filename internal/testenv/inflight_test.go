package testenv_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

// sys/in-flight-req shows at least itself, to who has sudo.
func TestInFlight(t *testing.T) {
	v := testenv.Start(t, nil)
	a := v.HTTP(http.MethodGet, "sys/in-flight-req", nil)
	var all map[string]map[string]any
	if err := json.Unmarshal([]byte(a.Body), &all); err != nil || a.Status != http.StatusOK || len(all) != 1 {
		t.Fatal(a, err)
	}
	for id, q := range all {
		if len(id) != 36 || q["request_path"] != "/v1/sys/in-flight-req" || q["request_method"] != "GET" || q["start_time"] == "" || q["client_remote_address"] == "" {
			t.Error(id, q)
		}
	}
	token := v.Policy("reader", `path "sys/in-flight-req" { capabilities = ["read"] }`)
	if a := v.HTTP(http.MethodGet, "sys/in-flight-req", nil, "X-Vault-Token", token); a.Status != http.StatusForbidden {
		t.Error("without sudo:", a)
	}
}
