// Package redact holds secret bytes that cannot be printed by accident.
//
// A Secret shows itself as "[redacted]" to fmt, log/slog, encoding/json and
// encoding/text; only Reveal gives the bytes away, so that a search for Reveal
// finds every place that handles a value in the clear.
//
// Start reading at Secret.
package redact
