package rewrite

import (
	"bufio"
	"bytes"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// The API server's metrics of what it encrypts with: the hash of its configuration,
// if it reloads it, and of KMS v2 the hash of each key id with the time when the
// plugin last told it.
const (
	configMetric = "apiserver_encryption_config_controller_last_config_info{"
	keyMetric    = "apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds{"
)

// configuration identifies what the API server encrypts with; "" if it does not tell.
func (a *api) configuration(ctx context.Context) (string, error) {
	raw, err := a.client.Get().AbsPath("/metrics").Do(ctx).Raw()
	switch {
	case apierrors.IsForbidden(err), apierrors.IsNotFound(err):
		return "", nil
	case err != nil:
		return "", explain(err, "reading the API server's metrics")
	}
	return configurationOf(raw), nil
}

// configurationPart begins the part that is the hash of the whole configuration.
const configurationPart = "configuration "

func configurationOf(metrics []byte) string {
	parts := map[string]bool{}
	newest, keys := map[string]float64{}, map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(metrics))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, configMetric):
			parts[configurationPart+label(line, "hash")] = true
		case strings.HasPrefix(line, keyMetric):
			provider := label(line, "provider_name")
			at, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
			if err == nil && at >= newest[provider] {
				newest[provider], keys[provider] = at, label(line, "key_id_hash")
			}
		}
	}
	for provider, key := range keys {
		parts["key of "+provider+" "+key] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(parts)), ", ")
}

// label is the value of one, as it is written.
func label(line, name string) string {
	for _, before := range []string{"{", ","} {
		if _, rest, ok := strings.Cut(line, before+name+`="`); ok {
			value, _, _ := strings.Cut(rest, `"`)
			return value
		}
	}
	return ""
}
