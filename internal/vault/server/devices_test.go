package server_test

import (
	"strings"
	"testing"
)

// A second audit device for standard output is refused before it is stored: one
// that is stored and cannot be enabled would keep the vault from being unsealed.
func TestSecondDeviceForOneTarget(t *testing.T) {
	v := start(t)
	wantStatus(t, send(v, "PUT", "sys/audit/one", `{"type":"stdout"}`), 204)
	a := send(v, "PUT", "sys/audit/two", `{"type":"stdout"}`)
	if a.Status != 400 || !strings.Contains(a.Body, "audit device one/ already") {
		t.Errorf("the second: %d %s", a.Status, a.Body)
	}
	if _, stored := data(t, send(v, "GET", "sys/audit", ""))["two/"]; stored {
		t.Error("the device that was refused is stored")
	}
	wantStatus(t, send(v, "PUT", "sys/audit/three", `{"type":"file","options":{"file_path":"three.log"}}`), 204)
}
