package rewrite

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const ms = time.Millisecond

// seen is a window of a second in which n objects were begun, and all probes but a fifth
// of them took half, those tenth.
func seen(n int, half, tenth time.Duration) window {
	w := window{length: time.Second, begun: n}
	for i := range 20 {
		took := half
		if i%5 == 0 {
			took = tenth
		}
		w.probes = append(w.probes, took)
	}
	return w
}

// The rate follows what the probe sees.
func TestPace(t *testing.T) {
	p := pace{rate: 100}
	p.learn(seen(0, 10*ms, 20*ms))
	for i, c := range []struct {
		w    window
		want float64
	}{
		{seen(100, 10*ms, 20*ms), 150},
		{seen(150, 17*ms, 35*ms), 225}, // slower, and not too slow
		{seen(100, 10*ms, 20*ms), 225}, // it is not the rate that holds us back
		{seen(225, 19*ms, 20*ms), 191.25},
		{seen(191, 10*ms, 20*ms), 200.8125}, // slowly, since it has met the limit
		{seen(200, 10*ms, 37*ms), 170.690625},
		{window{length: time.Second, begun: 170, refused: 1}, 85.3453125}, // it said that it is too much
		{window{length: 20 * time.Second, begun: 170}, 72.543515625},      // no probe was answered
	} {
		if rest := p.next(c.w); math.Abs(p.rate-c.want) > 1e-6 || rest {
			t.Fatalf("window %d: %v a second, want %v; rest %t", i, p.rate, c.want, rest)
		}
	}
}

// At the least rate, or after a minute, it asks what the probe takes without us.
func TestPaceRests(t *testing.T) {
	p := pace{rate: 100}
	p.learn(seen(0, ms, ms))
	for i := range 60 {
		rest := p.next(seen(100, 5*ms, 5*ms))
		if rest != (i == 19) { // 100 times 0.85 to the 15th power is less than 10
			t.Fatalf("window %d: %v a second, rest %t", i, p.rate, rest)
		}
		if p.rate < leastRate {
			t.Fatalf("%v a second", p.rate)
		}
		if rest {
			break
		}
	}
	p.learn(seen(0, 5*ms, 5*ms)) // it is others who are to blame
	for i := range renewal {
		if rest := p.next(seen(100, 5*ms, 5*ms)); rest != (i == renewal-1) {
			t.Fatalf("window %d: rest %t", i, rest)
		}
	}
	if p.rate <= leastRate {
		t.Errorf("%v a second", p.rate)
	}
}

// Beside an API server whose answers take the longer the more is begun, the rate comes
// to where the probe takes twice as long, and stays there; and when it is to rest,
// nothing is begun.
func TestPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const capacity = 1000.0
		var mu sync.Mutex
		var begun []time.Time      // guarded by mu
		recent := func() float64 { // objects begun in the last fifth of a second, for a second
			mu.Lock()
			defer mu.Unlock()
			n := 0
			for i := len(begun) - 1; i >= 0 && time.Since(begun[i]) < 200*ms; i-- {
				n++
			}
			return 5 * float64(n)
		}
		var resting atomic.Int64
		probe := func(context.Context) error {
			busy := min(recent()/capacity, 0.99)
			if busy == 0 {
				resting.Add(1)
			}
			time.Sleep(time.Duration(float64(4*ms) / (1 - busy))) // of a queue; the bubble's clock
			return nil
		}
		p, err := startPacer(t.Context(), probe)
		if err != nil {
			t.Fatal(err)
		}
		defer p.stop()
		learnt := resting.Load()
		start := time.Now()
		var late int
		for time.Since(start) < 90*time.Second {
			if err := p.begin(t.Context()); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			begun = append(begun, time.Now())
			mu.Unlock()
			if since := time.Since(start); since > 15*time.Second && since < 60*time.Second {
				late++
			}
		}
		// The probe takes 1.8 times as long at 444 a second.
		if rate := float64(late) / 45; rate < 350 || rate > 500 {
			t.Errorf("%.0f a second", rate)
		}
		if all := resting.Load(); all < learnt+10 {
			t.Errorf("%d probes in peace, of which %d before it began", all, learnt)
		}
	})
}
