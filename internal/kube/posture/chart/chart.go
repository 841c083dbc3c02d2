package chart

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Command is the argument with which this program renders a chart; whatever has a
// main that calls Render calls Main for it.
const Command = "render-chart"

// Request is what is rendered.
type Request struct {
	// Chart is a folder or a .tgz.
	Chart string `json:"chart"`
	// Values are the names of files of values; of two that say something else the later counts.
	Values []string `json:"values,omitempty"`
	// Release is the name of the release, "" that of the chart; Namespace where it would be.
	Release   string `json:"release,omitempty"`
	Namespace string `json:"namespace"`
}

// File is what a template became.
type File struct {
	// Name is its path with the chart's: "shop/templates/db.yaml".
	Name string `json:"name"`
	Text string `json:"text"`
}

// answer is what the process writes. Wrong, if it is not empty, is for people.
type answer struct {
	Files []File `json:"files,omitempty"`
	Wrong string `json:"wrong,omitempty"`
}

// The bounds of one chart. A large one takes a second and 100 MB.
const (
	most     = 60 * time.Second
	memory   = 1 << 30   // bytes of the heap
	stack    = 256 << 20 // bytes of the stack, of templates that call each other
	output   = 64 << 20  // bytes that are written, JSON
	tooLarge = 86        // the exit codes that say so
	tooLong  = 87
)

// Render renders a chart in a process of its own.
func Render(ctx context.Context, r Request) ([]File, error) {
	if os.Getenv(rendering) != "" {
		return nil, errs.Newf(errs.Internal, "rendering %s: this program does not know %s", r.Chart, Command)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, errs.Newf(errs.Internal, "rendering %s: %w", r.Chart, err)
	}
	given, err := json.Marshal(r)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "rendering %s: %w", r.Chart, err)
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	c := exec.CommandContext(ctx, self)
	c.Args = []string{os.Args[0], Command}
	c.Env = []string{rendering + "=1", "GORACE=atexit_sleep_ms=10"}
	out := limited{left: output}
	c.Stdin, c.Stdout = bytes.NewReader(given), &out
	return read(r.Chart, &out, c.Run(), ctx.Err())
}

// rendering is the variable that only the process has that renders.
const rendering = "STRONGKEEP_RENDERING_A_CHART"

// read takes what the process wrote, which ended with ended. late is not nil if it was
// ended.
func read(chart string, out *limited, ended, late error) ([]File, error) {
	var exit *exec.ExitError
	switch {
	case errors.Is(late, context.DeadlineExceeded), errors.As(ended, &exit) && exit.ExitCode() == tooLong:
		return nil, errs.Newf(errs.TooLarge, "rendering %s takes too long: a template of it loops, or it is too large", chart)
	case late != nil:
		return nil, fmt.Errorf("rendering %s: %w", chart, late)
	case out.left < 0:
		return nil, errs.Newf(errs.TooLarge, "rendering %s: it makes more than %d MiB of manifests", chart, output>>20)
	case errors.As(ended, &exit):
		return nil, errs.Newf(errs.TooLarge, "rendering %s takes more than %d MiB of memory: a template of it repeats or loops too often", chart, memory>>20)
	case ended != nil:
		return nil, errs.Newf(errs.Internal, "rendering %s: %w", chart, ended)
	}
	var a answer
	if err := json.Unmarshal(out.kept.Bytes(), &a); err != nil {
		return nil, errs.Newf(errs.Internal, "rendering %s: the answer: %w", chart, err)
	}
	if a.Wrong != "" {
		return nil, errs.Newf(errs.Invalid, "rendering %s: %s", chart, a.Wrong)
	}
	return a.Files, nil
}

// limited keeps what is written, up to a bound. The buffer has a name: embedded, its
// ReadFrom would be used, past the bound.
type limited struct {
	kept bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, io.ErrShortWrite
	}
	return l.kept.Write(p)
}
