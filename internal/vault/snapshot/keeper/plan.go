package keeper

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/address"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Prefix is the folder with one Plan, as JSON, under each name. It is sealed, as all
// that it is beside.
const Prefix = "settings/snapshots/"

// Plan says when a snapshot is made, by Interval or by Schedule, and where it goes.
type Plan struct {
	Name     string        `json:"-"`
	Interval time.Duration `json:"interval,omitempty"`  // between two snapshots; a minute at least
	Schedule string        `json:"schedule,omitempty"`  // cron of five fields
	Zone     string        `json:"time_zone,omitempty"` // of Schedule, by IANA's names; "" = UTC
	Jitter   time.Duration `json:"jitter,omitempty"`    // how much later than Schedule says at most
	Retain   int           `json:"retain"`              // how many are kept; 1 at least
	Kind     string        `json:"kind"`                // of place: KindLocal, or that of Bucket
	Path     string        `json:"path"`                // within the server's directory of snapshots; "" = that itself
	File     string        `json:"file_prefix"`         // in front of the time in names

	Bucket *address.Bucket `json:"bucket,omitempty"` // in which Path is a folder; nil = a directory of the server
}

// KindLocal is a directory of the server.
const KindLocal = "local"

// Least and most of a Plan.
const (
	LeastInterval = time.Minute
	MostRetain    = 10_000
)

var named = regexp.MustCompile(`^[a-zA-Z0-9_-][a-zA-Z0-9_.-]{0,63}$`)

// Check returns Invalid if the plan is none.
func (p *Plan) Check() error {
	switch {
	case !named.MatchString(p.Name):
		return errs.New(errs.Invalid, "a plan of snapshots has a name of letters, digits, -, _ and ., 64 at most")
	case !named.MatchString(p.File):
		return errs.New(errs.Invalid, "file_prefix has letters, digits, -, _ and ., 64 at most")
	case p.Retain < 1 || p.Retain > MostRetain:
		return errs.Newf(errs.Invalid, "retain: use 1 to %d", MostRetain)
	}
	if err := p.checkPlace(); err != nil {
		return err
	}
	return p.checkTimes()
}

func (p *Plan) checkPlace() error {
	switch {
	case p.Bucket == nil && p.Kind != KindLocal:
		return errs.Newf(errs.Invalid, "storage_type %.40q: use %s, or %s, %s or %s with a bucket", p.Kind, KindLocal, address.S3, address.GCS, address.Azure)
	case p.Bucket != nil && p.Kind != p.Bucket.Kind:
		return errs.Newf(errs.Invalid, "storage_type %.40q is not that of the bucket", p.Kind)
	}
	if p.Bucket != nil {
		if err := p.Bucket.Check(); err != nil {
			return err
		}
	}
	for part := range strings.SplitSeq(p.Path, "/") {
		if p.Path != "" && !named.MatchString(part) {
			return errs.New(errs.Invalid, "path_prefix is a path below the server's snapshot_dir, or in the bucket, of folders with letters, digits, -, _ and .")
		}
	}
	return nil
}

// Shares reports whether both would take the other's snapshots for their own.
func (p *Plan) Shares(q *Plan) bool {
	if p.Kind != q.Kind || p.Path != q.Path || p.File != q.File {
		return false
	}
	a, b := p.Bucket, q.Bucket
	return a == nil || b == nil || a.Name == b.Name && a.Account == b.Account && a.Endpoint == b.Endpoint
}

// Encode is the plan as it is stored.
func (p *Plan) Encode() []byte {
	raw, _ := json.Marshal(p) // it has nothing that could fail
	return raw
}

// Reader is what plans are read from: a store, or a transaction.
type Reader interface {
	Get(ctx context.Context, key string) (store.Entry, error)
	List(ctx context.Context, folder, after string, limit int) ([]string, error)
}

// Load returns a stored plan. Kind NotExist.
func Load(ctx context.Context, r Reader, name string) (*Plan, error) {
	if !named.MatchString(name) {
		return nil, errs.New(errs.NotExist, "there is no such plan of snapshots")
	}
	e, err := r.Get(ctx, Prefix+name)
	if err != nil {
		return nil, err
	}
	if !e.Exists() {
		return nil, errs.Newf(errs.NotExist, "there is no plan of snapshots called %q", name)
	}
	p := Plan{Name: name}
	if err := json.Unmarshal(e.Value, &p); err != nil {
		return nil, errs.Newf(errs.Internal, "the stored plan %q is damaged", name)
	}
	return &p, nil
}

const (
	stamp  = "20060102T150405Z"
	suffix = ".snapshot"
)

// fileName of a snapshot that is made at a time; by them snapshots are in order of time.
func (p *Plan) fileName(at time.Time) string { return p.File + "-" + at.UTC().Format(stamp) + suffix }

// madeAt is when the snapshot of that name was made; false: it is none of the plan's.
func (p *Plan) madeAt(name string) (time.Time, bool) {
	text, ok := strings.CutPrefix(name, p.File+"-")
	text, ours := strings.CutSuffix(text, suffix)
	at, err := time.Parse(stamp, text)
	return at, ok && ours && err == nil
}
