package check

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/history"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

func TestHistory(t *testing.T) {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "history-"}}
	if err := server.Client.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, "history", "-own-namespace="+ns.Name); errs.KindOf(err) != errs.NotExist || !strings.Contains(err.Error(), "-checks") {
		t.Errorf("without a history: %v", err)
	}
	api, err := typed.NewForConfig(server.REST)
	if err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	entry := func(name string) history.Entry {
		return history.Entry{Check: "SEC-09", Rule: "EnvVariable", Severity: check.Medium, Object: snapshot.Ref{Kind: "Pod", Namespace: "shop", Name: name}, Message: "m", First: noon, Last: noon}
	}
	fresh, went, accepted, blind := entry("fresh"), entry("went"), entry("accepted"), entry("blind")
	fresh.New, accepted.Excepted, went.Gone, blind.Last = true, true, noon.Add(-time.Hour), noon.Add(-2*time.Hour)
	book := &history.Book{
		Schema: history.Schema, Source: "test", Taken: noon, Entries: []history.Entry{fresh, accepted, blind, went}, Forgotten: 3, Untold: 2,
		Answers: []history.Answers{{Check: "SEC-09", Turns: []history.Turn{{Answer: check.No, Since: noon}}}}, Ended: []check.Exception{{Check: "SEC-03", Owner: "team-x"}},
	}
	if err := (history.Store{Maps: api.ConfigMaps(ns.Name)}).Save(t.Context(), book, ""); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, "history", "-own-namespace="+ns.Name)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Pod shop/fresh", "new", "accepted", "not looked at since 2026-11-01 10:00", "2026-11-01 12:00"} {
		if !strings.Contains(out, want) {
			t.Errorf("the table lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "shop/went") {
		t.Errorf("the table has what went:\n%s", out)
	}
	if out, err := run(t, "history", "-own-namespace="+ns.Name, "-gone"); err != nil || !strings.Contains(out, "Pod shop/went") || !strings.Contains(out, "2026-11-01 11:00") || strings.Contains(out, "fresh") {
		t.Errorf("-gone: %v\n%s", err, out)
	}
	if out, err := run(t, "history", "-own-namespace="+ns.Name, "-only=SEC-03"); err != nil || strings.Contains(out, "shop/") {
		t.Errorf("-only: %v\n%s", err, out)
	}
	out, err = run(t, "history", "-own-namespace="+ns.Name, "-format=json")
	var got history.Book
	if err != nil || json.Unmarshal([]byte(out), &got) != nil || len(got.Entries) != 4 || len(got.Entries[0].Fingerprint) != 32 || got.Answers[0].Turns[0].Answer != check.No {
		t.Errorf("-o json: %v\n%s", err, out)
	}
}
