package chart

import (
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"os"
	"runtime/metrics"
	"time"
)

// Main renders the chart that in names and writes what comes of it to out. It is for
// the process that Render starts: it ends that if it takes too much memory.
func Main(in io.Reader, out io.Writer) error {
	// What Helm logs may have values in it.
	log.SetOutput(io.Discard)
	slog.SetDefault(slog.New(slog.DiscardHandler))
	var r Request
	if err := json.NewDecoder(in).Decode(&r); err != nil {
		return err
	}
	guard := time.NewTicker(10 * time.Millisecond)
	defer guard.Stop()
	done := make(chan answer, 1)
	go func() { done <- render(&r) }()
	for {
		select {
		case a := <-done:
			return json.NewEncoder(out).Encode(a)
		case <-guard.C:
			if heap() > memory {
				os.Exit(tooLarge) // no template can be stopped from outside
			}
		}
	}
}

// heap is how many bytes the objects in memory have.
func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// render is Main without its bounds.
func render(r *Request) answer {
	c, err := load(r.Chart)
	if err != nil {
		return answer{Wrong: err.Error()}
	}
	files, err := c.render(r)
	if err != nil {
		return answer{Wrong: err.Error()}
	}
	return answer{Files: files}
}
