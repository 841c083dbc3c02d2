package picture_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/posture/origin"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
	"github.com/strongkeep/strongkeep/internal/kube/posture/trace"
	"github.com/strongkeep/strongkeep/internal/kube/posture/trace/picture"
)

// some is a report of n copies and n consumers, the first of which has a name that
// no page should take for its own.
func some(n int) *trace.Report {
	const hostile = `</title><script src="https://example.com/x.js">`
	r := &trace.Report{ID: "00ff", Name: hostile, Days: -1, Readers: []trace.Readers{{Count: 1, First: []trace.Reader{{Subject: "User/" + hostile, Steps: []string{"Read Secret shop/db"}}}}}}
	for i := range n {
		ref := snapshot.Ref{Kind: "Secret", Namespace: "shop", Name: fmt.Sprintf("db%d", i)}
		r.Copies = append(r.Copies, trace.Copy{Object: ref, Places: []string{hostile}, Origin: origin.Origin{Kind: origin.Hand}})
		r.Consumers = append(r.Consumers, trace.Consumer{Object: snapshot.Ref{Kind: "Deployment", Namespace: "shop", Name: fmt.Sprintf("web%d", i)}, Uses: []string{"envFrom of " + ref.String()}})
	}
	return r
}

func page(t *testing.T, r *trace.Report) string {
	t.Helper()
	var out bytes.Buffer
	if err := picture.Write(&out, []*trace.Report{r}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// A browser fetches nothing for the page, and runs nothing, whatever names there are.
func TestOffline(t *testing.T) {
	text := page(t, some(3))
	// What is in quotation marks is the value of an attribute, which is escaped.
	bare := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(text, `""`)
	if found := regexp.MustCompile(`(?i)<(script|link|img|iframe|object|embed)|<[^>]*\s(src|href|on\w+)=|url\(|@import`).FindString(bare); found != "" {
		t.Errorf("the page has %q", found)
	}
	if !strings.Contains(text, `default-src 'none'`) {
		t.Error("the page does not forbid itself to fetch")
	}
}

// The picture is an SVG that is well-formed, with a box for each thing and a line
// from each source to its copies and from each copy to who uses it.
func TestPicture(t *testing.T) {
	text := page(t, some(3))
	svg := text[strings.Index(text, "<svg") : strings.Index(text, "</svg>")+len("</svg>")]
	elements := map[string]int{}
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, svg)
		}
		if e, ok := token.(xml.StartElement); ok {
			elements[e.Name.Local]++
		}
	}
	// One source, three copies, three consumers; three lines and three.
	if elements["rect"] != 7 || elements["path"] != 6 {
		t.Errorf("%d boxes and %d lines, want 7 and 6", elements["rect"], elements["path"])
	}
}

// What does not fit is said by number.
func TestMany(t *testing.T) {
	text := page(t, some(500))
	if n := strings.Count(text, "<rect"); n > 130 || !strings.Contains(text, "and 440 more") {
		t.Errorf("%d boxes", n)
	}
}
