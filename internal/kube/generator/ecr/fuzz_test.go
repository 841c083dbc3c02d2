package ecr

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

// Whatever AWS answers, a login has a password, and no error tells what came.
func FuzzLogin(f *testing.F) {
	f.Add("QVdTOnBhc3N3b3Jk")
	f.Add("QVdT")
	f.Add("!")
	f.Fuzz(func(t *testing.T, token string) {
		now := time.Unix(1, 0)
		made, err := login(&token, &now)
		if err != nil {
			if len(token) > 8 && strings.Contains(err.Error(), token) {
				t.Fatal("the error tells what came")
			}
			return
		}
		text, _ := base64.StdEncoding.DecodeString(token)
		if made.Data["password"].Empty() || made.Data["username"].RevealString()+":"+made.Data["password"].RevealString() != string(text) {
			t.Fatalf("%q made another login", text)
		}
	})
}
