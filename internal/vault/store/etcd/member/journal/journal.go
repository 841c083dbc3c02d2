package journal

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// core has etcd log to ours. What etcd calls information is of no interest to who runs a
// vault, and is for debugging. Requests and answers are left out, whatever is in them.
type core struct {
	log    *slog.Logger
	fields []zapcore.Field
}

// New logs what etcd says to log.
func New(log *slog.Logger) *zap.Logger {
	return zap.New(core{log: log.With(slog.String("part", "etcd"))})
}

var levels = map[zapcore.Level]slog.Level{
	zapcore.DebugLevel: slog.LevelDebug - 4, zapcore.InfoLevel: slog.LevelDebug, zapcore.WarnLevel: slog.LevelInfo,
}

func level(l zapcore.Level) slog.Level {
	if to, ok := levels[l]; ok {
		return to
	}
	return slog.LevelError
}

// Enabled implements zapcore.Core.
func (c core) Enabled(l zapcore.Level) bool { return c.log.Enabled(context.Background(), level(l)) }

// With implements zapcore.Core.
func (c core) With(fields []zapcore.Field) zapcore.Core {
	c.fields = append(c.fields[:len(c.fields):len(c.fields)], fields...)
	return c
}

// Check implements zapcore.Core.
func (c core) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range append(c.fields[:len(c.fields):len(c.fields)], fields...) {
		if f.Type == zapcore.StringType || f.Type == zapcore.ErrorType || f.Type == zapcore.DurationType || f.Type == zapcore.BoolType || f.Integer != 0 {
			f.AddTo(enc)
		}
	}
	attrs := make([]slog.Attr, 0, len(enc.Fields))
	for k, v := range enc.Fields {
		if !told[k] {
			attrs = append(attrs, slog.Any(k, v))
		}
	}
	c.log.LogAttrs(context.Background(), level(e.Level), e.Message, attrs...)
	return nil
}

// told are fields that hold what clients have sent, or got.
var told = map[string]bool{"request": true, "response": true, "request content": true, "response count": true, "prefix": true, "key": true}

// Sync implements zapcore.Core.
func (c core) Sync() error { return nil }
