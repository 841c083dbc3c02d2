package diagnose

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/app"
)

// Level is how a question was answered.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Failed  Level = "failed"
	Unknown Level = "not checked"
)

// Finding is the answer to one question.
type Finding struct {
	Area     string `json:"area"`
	Question string `json:"question"`
	Level    Level  `json:"level"`
	Detail   string `json:"detail"`         // why
	Next     string `json:"next,omitempty"` // a command, or what to change; empty if all is well
}

// Config of Check.
type Config struct {
	Server  app.ServerConfig
	Address string       // URL of a server that may run; "" = none is asked
	Client  *http.Client // that trusts it
	Token   string       // for its metrics; may be empty
	Now     func() time.Time
}

// patience bounds each question to somebody else.
const patience = 10 * time.Second

// visit is a check under way.
type visit struct {
	cfg   Config
	area  string
	found []Finding
	runs  bool              // a Strongkeep answers at Address
	leaf  *x509.Certificate // that the server at Address shows; nil = none was seen
}

// Check asks everything that it can.
func Check(ctx context.Context, cfg Config) []Finding {
	v := &visit{cfg: cfg}
	if err := v.cfg.Server.Complete(); err != nil {
		v.in("configuration").add("the configuration is right", Failed, err.Error(), "correct it: strongkeep server --help lists what there is")
		return v.found
	}
	v.in("configuration").add("the configuration is right", OK, "storage "+v.cfg.Server.Storage, "")
	v.in("server").server(ctx)
	v.in("memory").memory()
	v.in("process").process()
	v.in("limits").limits()
	v.in("clock").clock()
	v.in("disk").disk()
	v.in("files").files()
	v.in("certificates").certificates()
	v.in("listener").listener(ctx)
	v.in("storage").storage(ctx)
	v.in("unsealing").keys(ctx)
	return v.found
}

func (v *visit) in(area string) *visit {
	v.area = area
	return v
}

func (v *visit) add(question string, level Level, detail, next string) {
	v.found = append(v.found, Finding{Area: v.area, Question: question, Level: level, Detail: detail, Next: next})
}

func (v *visit) ok(question, format string, args ...any) {
	v.add(question, OK, fmt.Sprintf(format, args...), "")
}

// Worst is the level that decides.
func Worst(all []Finding) Level {
	worst := OK
	for _, f := range all {
		switch {
		case f.Level == Failed:
			return Failed
		case f.Level == Warning:
			worst = Warning
		}
	}
	return worst
}

func percent(part, whole uint64) string {
	if whole == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.0f %%", float64(part)*100/float64(whole))
}

func gib(n uint64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }

func join(all []string) string { return strings.Join(all, ", ") }
