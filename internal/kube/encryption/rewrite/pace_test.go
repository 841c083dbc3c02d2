package rewrite

import (
	"testing"
	"time"
)

func times(d time.Duration, n int) (s sample) {
	for range n {
		s.took = append(s.took, d)
	}
	return s
}

// The width follows what the API server answers.
func TestPace(t *testing.T) {
	const ms = time.Millisecond
	p := pace{width: 2, most: 4}
	for i, c := range []struct {
		s    sample
		want int
	}{
		{times(10*ms, 5), 3}, {times(10*ms, 5), 4}, {times(15*ms, 5), 4}, // no more than the most
		{times(25*ms, 5), 3}, {times(25*ms, 5), 2}, // others wait twice as long
		{times(20*ms, 5), 3},             // twice as long, and not more
		{sample{refused: 1}, 1},          // it said that it is too much
		{sample{refused: 9}, 1},          // never none
		{sample{}, 1},                    // an empty page says nothing
		{times(5*ms, 5), 2},              // and a new base
		{times(11*ms, 5), 1},             // by which this is slow
		{append5(times(5*ms, 5), ms), 2}, // by the median
	} {
		if p.next(c.s); p.width != c.want {
			t.Fatalf("page %d: %d at once, want %d", i, p.width, c.want)
		}
	}
}

// append5 adds one answer that took very long.
func append5(s sample, d time.Duration) sample {
	s.took = append(s.took, 1000*d)
	return s
}
