package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"
)

// How often is reported, and how long the last report is tried: it is what a
// test counts by, and the pod's grace is longer.
const (
	reportEvery = time.Second
	lastLimit   = time.Minute
	lastPause   = 100 * time.Millisecond
)

// reporter POSTs the application's Stats.
type reporter struct {
	url    string
	stats  func(final bool) []byte
	client http.Client
}

func newReporter(url string, stats func(bool) []byte) *reporter {
	return &reporter{url: url, stats: stats, client: http.Client{Timeout: 5 * time.Second}}
}

// run reports until ctx ends. A report that does not arrive is made up for by
// the next one.
func (r *reporter) run(ctx context.Context) {
	for ctx.Err() == nil && r.url != "" {
		_ = r.send(ctx, false)
		pause(ctx, reportEvery)
	}
}

// last reports the last numbers, until they arrive.
func (r *reporter) last() error {
	if r.url == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastLimit)
	defer cancel()
	for {
		err := r.send(ctx, true)
		if err == nil || ctx.Err() != nil {
			return err
		}
		pause(ctx, lastPause)
	}
}

func (r *reporter) send(ctx context.Context, final bool) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(r.stats(final)))
	if err != nil {
		return fmt.Errorf("reporting: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := r.client.Do(req)
	if err != nil {
		return fmt.Errorf("reporting: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("reporting: the collector answers %s", res.Status)
	}
	return nil
}
