package plane

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// longest bounds a line of metrics, in bytes.
const longest = 1 << 20

// Metrics reads the metrics of an API server, in Prometheus' text format, line by line:
//
//	name{label="value",…} number
//	name number
//
// What is not asked for, or is written otherwise, is passed over.
func Metrics(from io.Reader, into *snapshot.Control) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, longest)
	var told snapshot.Control
	for lines.Scan() {
		for name, take := range wanted {
			if bytes.HasPrefix(lines.Bytes(), []byte(name)) {
				if labels, n, ok := sample(lines.Text()); ok {
					take(&told, labels, n)
				}
				break
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading metrics: %w", err)
	}
	into.Transformations, into.Reloaded, into.Started, into.InForce = told.Transformations, told.Reloaded, told.Started, told.InForce
	return nil
}

// wanted are the metrics that are read, and what is kept of each.
var wanted = map[string]func(told *snapshot.Control, labels map[string]string, n float64){
	"apiserver_storage_transformation_operations_total{": func(told *snapshot.Control, labels map[string]string, n float64) {
		if n > 0 {
			told.Transformations = append(told.Transformations, snapshot.Transformation{
				Resource: resource(labels), Type: labels["transformation_type"], Prefix: labels["transformer_prefix"], Status: labels["status"], Count: n,
			})
		}
	},
	"apiserver_encryption_config_controller_last_config_info{": func(told *snapshot.Control, labels map[string]string, n float64) {
		if n > 0 && digest.MatchString(labels["hash"]) {
			told.InForce = labels["hash"]
		}
	},
	"apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds{": func(told *snapshot.Control, labels map[string]string, n float64) {
		if t := instant(n); labels["status"] == "success" && t.After(told.Reloaded) {
			told.Reloaded = t
		}
	},
	"process_start_time_seconds ": func(told *snapshot.Control, _ map[string]string, n float64) { told.Started = instant(n) },
}

// resource is the name of a resource, with that of its group if it has one.
func resource(labels map[string]string) string {
	if g := labels["group"]; g != "" {
		return labels["resource"] + "." + g
	}
	return labels["resource"]
}

// instant is a time in seconds; zero of what is none.
func instant(seconds float64) time.Time {
	if seconds <= 0 || seconds > 1e11 {
		return time.Time{}
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9)).UTC()
}

// digest is how an API server writes the hash of a file.
var digest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

var pair = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"`)

// sample are the labels and the number of a line.
func sample(line string) (map[string]string, float64, bool) {
	i, end := strings.IndexByte(line, '{'), strings.LastIndexByte(line, '}')
	if i < 0 { // it has no labels
		i = strings.IndexByte(line, ' ')
		end = i
	}
	if i < 0 || end < i {
		return nil, 0, false
	}
	number, _, _ := strings.Cut(strings.TrimSpace(line[end+1:]), " ") // behind it there may be a time
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(n) {
		return nil, 0, false
	}
	labels := map[string]string{}
	for _, m := range pair.FindAllStringSubmatch(line[i:end], -1) {
		labels[m[1]] = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n").Replace(m[2])
	}
	return labels, n, true
}
