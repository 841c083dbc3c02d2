package meter

import (
	"bufio"
	"bytes"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/strongkeep/strongkeep/internal/errs"
)

const (
	// longestLine bounds a line of metrics, in bytes.
	longestLine = 1 << 20
	// mostKept bounds the lines that are asked for, in bytes.
	mostKept = 16 << 20
)

// Reading is what one API server tells. The zero Reading is of one that tells nothing.
type Reading struct {
	// ID is the hash of the API server's identity, which is the name of its lease; "" if
	// it does not tell, as one without automatic reload.
	ID      string  `json:"-"`
	Started float64 `json:"-"` // when its process did, in seconds of Unix; 0 if it does not tell
	// Told is when it answered, by its own clock; zero if it does not tell.
	Told time.Time `json:"-"`

	Hash     string         `json:"hash,omitempty"` // of the file in force; "" for none, or one that it does not tell
	Reloaded time.Time      `json:"reloaded,omitzero"`
	Failed   time.Time      `json:"failed,omitzero"` // when it last refused a file
	Failures int            `json:"failures,omitempty"`
	Keys     map[string]Key `json:"keys,omitempty"` // of each KMS v2 provider, by its name

	// Operations are the values that were read and written without an error, and Used
	// those of KMS v2, since the process started.
	Operations map[Operation]float64 `json:"-"`
	Used       map[Use]float64       `json:"-"`
}

// Key is what a plugin told last.
type Key struct {
	Hash string    `json:"hash"` // of its key id: HashOf
	At   time.Time `json:"at"`
	// Before is when it last told another key id to this process; zero: it has not.
	Before time.Time `json:"before,omitzero"`
}

// The directions of an Operation and a Use.
const (
	FromStorage = "from_storage"
	ToStorage   = "to_storage"
)

// Operation is what was done to values.
type Operation struct {
	Resource string // RESOURCE or RESOURCE.GROUP; "" for what no request asked for, as the API server's own caches
	Type     string
	Prefix   string // k8s:enc:… or identity
}

// Use is of a key of KMS v2, for whatever resource.
type Use struct{ Type, Provider, KeyHash string }

// The metrics that are read.
const (
	encryption  = "apiserver_encryption_config_controller_"
	lastConfig  = encryption + "last_config_info"
	reloads     = encryption + "automatic_reloads_total"
	reloaded    = encryption + "automatic_reload_last_timestamp_seconds"
	envelope    = "apiserver_envelope_encryption_"
	keyTold     = envelope + "key_id_hash_status_last_timestamp_seconds"
	keyUsed     = envelope + "key_id_hash_total"
	transformed = "apiserver_storage_transformation_operations_total"
	started     = "process_start_time_seconds"
)

var read = map[string]func(*Reading, map[string]string, float64){
	lastConfig: func(r *Reading, l map[string]string, _ float64) { r.Hash = l["hash"] },
	reloads:    (*Reading).takeReloads,
	reloaded:   (*Reading).takeReloaded,
	keyTold:    (*Reading).takeKey,
	keyUsed: func(r *Reading, l map[string]string, n float64) {
		r.Used[Use{l["transformation_type"], l["provider_name"], l["key_id_hash"]}] += n
	},
	transformed: func(r *Reading, l map[string]string, n float64) {
		if l["status"] == "OK" {
			r.Operations[Operation{l["resource"], l["transformation_type"], l["transformer_prefix"]}] += n
		}
	},
	started: func(r *Reading, _ map[string]string, n float64) { r.Started = n },
}

// Read takes what is asked for from metrics in Prometheus' text format. The kind of its
// error is Unavailable: it was cut off, or is something else.
func Read(from io.Reader) (Reading, error) {
	r := Reading{Keys: map[string]Key{}, Operations: map[Operation]float64{}, Used: map[Use]float64{}}
	text, err := wanted(from)
	if err != nil {
		return r, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return r, errs.New(errs.Unavailable, "they are not in Prometheus' text format: is there something between it and us?")
	}
	for _, name := range slices.Sorted(maps.Keys(read)) {
		for _, m := range families[name].GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			n := m.GetUntyped().GetValue()
			if math.IsNaN(n) {
				continue
			}
			if !plain(labels["hash"], labels["key_id_hash"], labels["apiserver_id_hash"]) {
				return r, errs.Newf(errs.Unavailable, "%s has a hash that is none: is there something between it and us?", name)
			}
			if id := labels["apiserver_id_hash"]; id != "" {
				r.ID = id
			}
			read[name](&r, labels, n)
		}
	}
	return r, nil
}

// wanted are the lines of what is read, without their types: of megabytes a few lines.
func wanted(from io.Reader) (*bytes.Buffer, error) {
	var out bytes.Buffer
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		line := lines.Bytes()
		end := bytes.IndexAny(line, "{ \t")
		if end < 0 || read[string(line[:end])] == nil {
			continue
		}
		if out.Len()+len(line) > mostKept {
			return nil, errs.Newf(errs.Unavailable, "of encryption alone they are over %d MiB", mostKept>>20)
		}
		out.Write(line)
		out.WriteByte('\n')
	}
	if err := lines.Err(); err != nil {
		return nil, errs.Newf(errs.Unavailable, "they were cut off, or have a line over 1 MiB: %w", err)
	}
	return &out, nil
}

// plain reports whether hashes are what an API server writes.
func plain(hashes ...string) bool {
	for _, h := range hashes {
		if len(h) > 200 || strings.ContainsFunc(h, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' }) {
			return false
		}
	}
	return true
}

func (r *Reading) takeReloads(labels map[string]string, n float64) {
	if labels["status"] == "failure" {
		r.Failures = int(min(max(n, 0), math.MaxInt32))
	}
}

func (r *Reading) takeReloaded(labels map[string]string, n float64) {
	if labels["status"] == "failure" {
		r.Failed = instant(n)
	} else {
		r.Reloaded = instant(n)
	}
}

// takeKey keeps the newest key of a provider, and when it had another.
func (r *Reading) takeKey(labels map[string]string, n float64) {
	name, k := labels["provider_name"], Key{Hash: labels["key_id_hash"], At: instant(n)}
	if had, ok := r.Keys[name]; ok {
		if had.At.After(k.At) {
			had, k = k, had
		}
		if had.Hash != k.Hash && had.At.After(k.Before) {
			k.Before = had.At
		}
	}
	r.Keys[name] = k
}

// instant is a time in seconds of Unix.
func instant(seconds float64) time.Time {
	whole, part := math.Modf(min(max(seconds, 0), 1e11))
	return time.Unix(int64(whole), int64(part*1e9)).UTC()
}

// configured begins the part of Configuration that is the hash of a file.
const configured = "configuration "

// Configuration identifies what the API server encrypts with: the hash of its file, if it
// tells it, and of each KMS v2 provider that of its key; "" if it tells neither.
func (r *Reading) Configuration() string {
	var parts []string
	if r.Hash != "" {
		parts = append(parts, configured+r.Hash)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Keys)) {
		parts = append(parts, "key of "+name+" "+r.Keys[name].Hash)
	}
	return strings.Join(parts, ", ")
}

// Whole reports whether a Configuration has the hash of a file: without it two that are
// equal may be of different files.
func Whole(configuration string) bool { return strings.HasPrefix(configuration, configured) }
