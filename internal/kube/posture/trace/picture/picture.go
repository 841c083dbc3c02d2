package picture

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/trace"
)

//go:embed page.html
var page string

var parsed = template.Must(template.New("page").Parse(page))

// Sizes in pixels.
const (
	boxWidth  = 300
	boxHeight = 44
	rowHeight = 60
	column    = 400
	margin    = 20
	// maxRows bounds a column; the rest is said by number.
	maxRows = 60
	// maxText is how many characters fit into a box.
	maxText = 44
)

// box is one rectangle: a source, a copy, somebody who uses it.
type box struct {
	X, Y, Width, Height int
	Class               string
	Title, Text         string
	Whole               string // told when the pointer rests on it
}

// line goes from the right of one box to the left of another.
type line struct{ Path string }

// graph is the picture of one credential.
type graph struct {
	Title, About  string
	Width, Height int
	Boxes         []box
	Lines         []line
	Readers       []trace.Readers
	Orphaned      []string
}

// Write writes the page. The error is one of to.
func Write(to io.Writer, reports []*trace.Report) error {
	var graphs []*graph
	for _, r := range reports {
		graphs = append(graphs, draw(r))
	}
	if err := parsed.Execute(to, graphs); err != nil {
		return errs.Newf(errs.Internal, "writing the page: %w", err)
	}
	return nil
}

// draw lays a report out in columns: sources, copies, consumers.
func draw(r *trace.Report) *graph {
	g := &graph{Title: r.Name, About: about(r), Readers: r.Readers, Orphaned: r.Orphaned}
	sources, users := map[string]*box{}, 0
	var lines [][2]box
	for i := range r.Copies {
		c := &r.Copies[i]
		b := g.at(1, i, box{Class: class(c), Title: c.Cluster + " " + c.Object.String(), Text: first(c.Places)})
		g.keep(b, i, len(r.Copies))
		from := c.Origin.String()
		s := sources[from]
		if s == nil {
			one := g.at(0, len(sources), box{Class: "source", Title: from, Text: string(c.Origin.Kind)})
			s = &one
			g.keep(one, len(sources), len(sources))
			sources[from] = s
		}
		if i < maxRows && len(sources) <= maxRows {
			lines = append(lines, [2]box{*s, b})
		}
	}
	for i := range r.Consumers {
		c := &r.Consumers[i]
		text := first(c.Uses)
		if c.Pods > 0 {
			text = fmt.Sprintf("%d pods, %s", c.Pods, text)
		}
		b := g.at(2, users, box{Class: "user", Title: c.Cluster + " " + c.Object.String(), Text: text})
		users++
		g.keep(b, i, len(r.Consumers))
		for j := range r.Copies {
			if i < maxRows && j < maxRows && uses(c, &r.Copies[j]) {
				lines = append(lines, [2]box{g.at(1, j, box{}), b})
			}
		}
	}
	for _, l := range lines {
		g.Lines = append(g.Lines, join(l[0], l[1]))
	}
	g.Width = 3*column - (column - boxWidth) + 2*margin
	g.Height = 2*margin + rowHeight*min(maxRows+1, max(len(r.Copies), len(r.Consumers), len(sources), 1))
	return g
}

// at puts b into a row of a column.
func (g *graph) at(col, row int, b box) box {
	b.X, b.Y, b.Width, b.Height = margin+col*column, margin+row*rowHeight, boxWidth, boxHeight
	return b
}

// keep adds b, the i-th of all of its column, as far as there is room.
func (g *graph) keep(b box, i, all int) {
	switch {
	case i == maxRows:
		b.Title, b.Text, b.Whole = fmt.Sprintf("and %d more", all-i), "", ""
	case i > maxRows:
		return
	default:
		b.Whole = b.Title + "\n" + b.Text
	}
	b.Title, b.Text = cut(b.Title), cut(b.Text)
	g.Boxes = append(g.Boxes, b)
}

func cut(s string) string {
	r := []rune(s)
	if len(r) <= maxText {
		return s
	}
	return string(r[:maxText-1]) + "…"
}

func first(list []string) string {
	switch len(list) {
	case 0:
		return ""
	case 1:
		return list[0]
	}
	return fmt.Sprintf("%s and %d more", list[0], len(list)-1)
}

func class(c *trace.Copy) string {
	switch {
	case c.Object.Kind == "File":
		return "file"
	case c.Object.Kind == "Secret" && c.Release == "":
		return "secret"
	}
	return "leak"
}

// uses reports whether a consumer uses a copy: it says so, or is it.
func uses(c *trace.Consumer, of *trace.Copy) bool {
	if c.Cluster != of.Cluster {
		return false
	}
	if c.Object == of.Object {
		return true
	}
	for _, u := range c.Uses {
		if u == "takes "+of.Object.String() || endsWith(u, " of "+of.Object.String()) {
			return true
		}
	}
	return false
}

func endsWith(s, end string) bool { return len(s) >= len(end) && s[len(s)-len(end):] == end }

// join draws a curve.
func join(a, b box) line {
	x, y, u, v := a.X+boxWidth, a.Y+boxHeight/2, b.X, b.Y+boxHeight/2
	middle := (x + u) / 2
	return line{fmt.Sprintf("M%d %d C%d %d %d %d %d %d", x, y, middle, y, middle, v, u, v)}
}

func about(r *trace.Report) string {
	age := "age not known"
	if r.Days >= 0 {
		age = fmt.Sprintf("%d days old", r.Days)
		if r.Age.AtMost {
			age = fmt.Sprintf("at most %d days old", r.Days)
		}
	}
	out := fmt.Sprintf("%d copies, %d consumers, %s", len(r.Copies), len(r.Consumers), age)
	if o := r.Owner.String(); o != "" {
		out += ", of " + o
	}
	return out + ", credential " + r.ID
}
