package audit_test

import (
	"sync/atomic"
	"testing"

	"github.com/strongkeep/strongkeep/internal/vault/audit"
)

// BenchmarkAppendWait is 64 requests at a time on a real, synced file: one line
// queued, a second queued behind it and waited for, as a read does.
func BenchmarkAppendWait(b *testing.B) {
	br := newBench(b, 0)
	br.enable(b, spec("file", "a.log"))
	req, resp := benchEntries()
	b.SetParallelism(32) // of 2 CPUs: 64 goroutines
	b.ReportAllocs()
	var failed atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if br.Append(resp, br.Append(req, none)).Wait(b.Context()) != nil {
				failed.Add(1)
			}
		}
	})
	st := br.Stats()[0]
	b.ReportMetric(float64(st.Lines)/b.Elapsed().Seconds(), "lines/s")
	b.ReportMetric(float64(st.Groups)/b.Elapsed().Seconds(), "syncs/s")
	b.ReportMetric(float64(st.Lines)/float64(st.Groups), "lines/sync")
	b.ReportMetric(float64(st.Wait.Sum.Microseconds())/float64(max(st.Wait.Count, 1)), "µs/wait")
	if failed.Load() > 0 {
		b.Errorf("%d lines were refused", failed.Load())
	}
}

// benchEntries are the two lines of a read of a small KV secret.
func benchEntries() (req, resp *audit.Entry) {
	req = entry("5f3a5b0e-9a57-41a5-8a2e-1f2d3c4b5a69")
	req.Auth = &audit.Auth{ClientToken: "hvs.canary", Accessor: "MPE7CR3nNjbv1PZ1w1jJ2Hmx", Policies: []string{"default", "my-app"}, TokenType: "service"}
	r := *req.Request
	resp = &audit.Entry{Type: audit.TypeResponse, Time: req.Time, Auth: req.Auth, Request: &r, Response: &audit.Response{
		Data: []byte(`{"data":{"username":"app","password":"hunter2-canary"},"metadata":{"created_time":"2026-03-01T10:00:00Z","custom_metadata":null,"deletion_time":"","destroyed":false,"version":3}}`),
	}}
	r.Data, req.Request.Data = nil, nil
	return req, resp
}
