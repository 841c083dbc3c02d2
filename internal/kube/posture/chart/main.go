package chart

import (
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Main renders the chart that in names and writes what comes of it to out. It is for
// the process that Render starts: it ends that if it takes too much memory, and if it
// takes too long, whether or not whoever started it is still there to end it.
func Main(in io.Reader, out io.Writer) error {
	// What Helm logs may have values in it.
	log.SetOutput(io.Discard)
	slog.SetDefault(slog.New(slog.DiscardHandler))
	debug.SetMaxStack(stack)
	var r Request
	if err := json.NewDecoder(in).Decode(&r); err != nil {
		return err
	}
	guard := time.NewTicker(10 * time.Millisecond)
	defer guard.Stop()
	late := time.After(most)
	done := make(chan error, 1)
	go func() { done <- json.NewEncoder(out).Encode(render(&r)) }()
	for {
		select {
		case err := <-done:
			return err
		case <-late:
			os.Exit(tooLong) // no template can be stopped from outside
		case <-guard.C:
			if heap() > memory {
				os.Exit(tooLarge)
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
