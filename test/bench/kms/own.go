package kms

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// own says what a plugin itself has measured, from when a call was there to when its
// answer was: what is more than that is gRPC's, the machine's and this process's.
func (w world) own(ctx context.Context, address string, methods ...string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return errs.Newf(errs.Internal, "asking for the plugin's metrics: %w", err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return errs.Newf(errs.Unavailable, "asking for the plugin's metrics: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return errs.Newf(errs.Unavailable, "reading the plugin's metrics: %w", err)
	}
	for _, method := range methods {
		w.Say("  by the plugin's own histogram 99 of 100 %s take at most %s s", method, within(string(text), method))
	}
	return nil
}

// within is the bound of the first bucket of a method that has 99 of 100 of its calls,
// "" if there are none.
func within(metrics, method string) string {
	head := `strongkeep_kms_call_duration_seconds_bucket{code="OK",method="` + method + `",le="`
	var bounds []string
	var counts []float64
	for line := range strings.Lines(metrics) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), head)
		bound, count, found := strings.Cut(rest, `"} `)
		if n, err := strconv.ParseFloat(count, 64); ok && found && err == nil {
			bounds, counts = append(bounds, bound), append(counts, n)
		}
	}
	for i, n := range counts {
		if n >= 0.99*counts[len(counts)-1] {
			return bounds[i]
		}
	}
	return ""
}
