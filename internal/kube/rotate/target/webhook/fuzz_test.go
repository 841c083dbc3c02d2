package webhook

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/shelf"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Whatever an endpoint answers: what is taken has values, and what is told holds
// none of the secrets and stays short.
func FuzzAnswers(f *testing.F) {
	f.Add(200, []byte(`{"values":{"a":"b"}}`))
	f.Add(400, []byte(`{"message":"the canary-secret"}`))
	f.Add(202, []byte("{\"message\":\"\x1b[0m\\u202e\"}"))
	hidden := []shelf.Values{{"k": shelf.Text(redact.FromString("canary-secret"))}}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		values, err := valuesOf(body)
		if err == nil && (len(values) == 0 || len(values) > maxProperties) {
			t.Error("nothing, or too much, was taken")
		}
		for name, value := range values {
			if len(value) == 0 || !properties.MatchString(name) {
				t.Errorf("%q was taken", name)
			}
		}
		err = judge(act{name: "stage"}, status, body, hidden)
		if (err == nil) != (status == 200) {
			t.Errorf("%d: %v", status, err)
		}
		if err != nil && (strings.Contains(err.Error(), "canary-secret") || len(err.Error()) > 2*maxSaid || strings.ContainsAny(err.Error(), "\n\x1b\u202e")) {
			t.Errorf("it tells %q", err)
		}
	})
}
