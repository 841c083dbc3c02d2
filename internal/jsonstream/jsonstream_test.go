package jsonstream_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/jsonstream"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/gentest"
)

type inner struct {
	Name string `json:"name"`
	Gone string `json:"gone,omitempty"`
}

type odd struct {
	inner
	Text    string            `json:"text"`
	Bytes   []byte            `json:"bytes"`
	Nothing []string          `json:"nothing"`
	Empty   []string          `json:"empty"`
	Left    []string          `json:"left,omitempty"`
	Map     map[string]int    `json:"map"`
	None    map[string]string `json:"none"`
	Pointer *int              `json:"pointer"`
	Zero    time.Time         `json:"zero,omitzero"`
	Time    time.Time         `json:"time"`
	Any     any               `json:"any"`
	Float   float64           `json:"float"`
	Array   [2]bool           `json:"array"`
	Labels  *struct{}         `json:"labels,omitempty"`
	Role    rbacv1.ClusterRole
	Cut     time.Duration
	hidden  int
}

// What is written is what encoding/json writes, of a snapshot, of a report, and of what
// has odd values.
func TestSame(t *testing.T) {
	g := gentest.New(gentest.Small())
	g.RBAC.Roles[0].CreationTimestamp = metav1.NewTime(gentest.Now())
	report := check.Run(app.Checks(), check.NewInput(g.Snapshot, gentest.Now(), check.Settings{}), nil, nil)
	for name, v := range map[string]any{
		"snapshot": g.Snapshot, "report": report, "nil": nil, "text": "a<b> & \u2028 \x00 \ufffd ü",
		"odd": odd{
			Text: "<&>\u2028\u2029(\t\"", Bytes: []byte{0, 255}, Empty: []string{}, Map: map[string]int{"b": 2, "a<": 1}, Time: gentest.Now(), Any: []any{map[string]any{}, []any{}, nil, 1e21, "x"}, Float: 0.000_000_1,
			Role: rbacv1.ClusterRole{AggregationRule: &rbacv1.AggregationRule{}}, Cut: time.Second, hidden: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var want, got bytes.Buffer
			if err := json.NewEncoder(&want).Encode(v); err != nil {
				t.Fatal(err)
			}
			if err := jsonstream.Compact(&got, v); err != nil {
				t.Fatal(err)
			}
			differ(t, got.Bytes(), want.Bytes())
			want.Reset()
			got.Reset()
			e := json.NewEncoder(&want)
			e.SetIndent("", "  ")
			e.SetEscapeHTML(false)
			if err := e.Encode(v); err != nil {
				t.Fatal(err)
			}
			if err := jsonstream.Indented(&got, v); err != nil {
				t.Fatal(err)
			}
			differ(t, got.Bytes(), want.Bytes())
		})
	}
}

func differ(t *testing.T, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	t.Errorf("at byte %d: %.80q, want %.80q", i, got[i:], want[i:])
}

// A list that comes bit by bit is written as one that is there.
func TestList(t *testing.T) {
	for _, list := range [][]inner{{}, {{Name: "a<"}}, {{Name: "a"}, {Gone: "b"}}} {
		var want, got bytes.Buffer
		if err := jsonstream.Indented(&want, list); err != nil {
			t.Fatal(err)
		}
		if err := jsonstream.List(&got, slices.Values(list)); err != nil {
			t.Fatal(err)
		}
		differ(t, got.Bytes(), want.Bytes())
	}
}

// chunks notes the largest write.
type chunks struct{ largest, all int }

func (c *chunks) Write(b []byte) (int, error) {
	c.largest, c.all = max(c.largest, len(b)), c.all+len(b)
	return len(b), nil
}

// What is large is not held: it goes on in parts, and little is allocated.
func TestParts(t *testing.T) {
	list := make([]inner, 100_000)
	for i := range list {
		list[i].Name = strings.Repeat("x", 40)
	}
	var c chunks
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := jsonstream.Indented(&c, list); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if c.all < 4_000_000 || c.largest > 100_000 {
		t.Errorf("%d bytes in parts of up to %d", c.all, c.largest)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1_000_000 {
		t.Errorf("%d bytes were allocated to write %d", got, c.all)
	}
}

// What is no UTF-8 is U+FFFD, as encoding/json has it, which escapes it.
func TestNoText(t *testing.T) {
	var got bytes.Buffer
	if err := jsonstream.Compact(&got, "a\xffb"); err != nil {
		t.Fatal(err)
	}
	var text string
	if err := json.Unmarshal(got.Bytes(), &text); err != nil || text != "a\ufffdb" {
		t.Errorf("%q %v", got.String(), err)
	}
}

// An error of who takes it is told.
func TestRefused(t *testing.T) {
	full := errors.New("full")
	r, w := io.Pipe()
	_ = r.CloseWithError(full)
	if err := jsonstream.Compact(w, []string{"x"}); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
	if err := jsonstream.Compact(io.Discard, func() {}); err == nil {
		t.Error("a function was written")
	}
}
