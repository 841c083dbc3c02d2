package server

import (
	"testing"

	"github.com/google/uuid"
)

func TestRequestID(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		s := newRequestID()
		id, err := uuid.Parse(s)
		if err != nil || id.Version() != 4 || id.Variant() != uuid.RFC4122 || id.String() != s {
			t.Fatalf("%q is no random UUID: %v", s, err)
		}
		if seen[s] {
			t.Fatalf("%q came twice", s)
		}
		seen[s] = true
	}
}
