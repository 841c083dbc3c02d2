package meter_test

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/meter"
)

const metrics = `# HELP apiserver_encryption_config_controller_last_config_info [ALPHA] Information
# TYPE apiserver_encryption_config_controller_last_config_info gauge
apiserver_encryption_config_controller_last_config_info{apiserver_id_hash="sha256:aa",hash="sha256:bb"} 1
apiserver_encryption_config_controller_automatic_reloads_total{apiserver_id_hash="sha256:aa",status="failure"} 2 1700000000000
apiserver_encryption_config_controller_automatic_reloads_total{apiserver_id_hash="sha256:aa",status="success"} 7
apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds{apiserver_id_hash="sha256:aa",status="failure"} 1.7e+09
apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds{apiserver_id_hash="sha256:aa",status="success"} 1.8e+09
# TYPE apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds gauge
apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds{apiserver_id_hash="sha256:aa",key_id_hash="sha256:k2",provider_name="strong\"keep"} 1.8000000005e+09
apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds{apiserver_id_hash="sha256:aa",key_id_hash="sha256:k1",provider_name="strong\"keep"} 1.8e+09
apiserver_envelope_encryption_key_id_hash_total{apiserver_id_hash="sha256:aa",key_id_hash="sha256:k2",provider_name="p",transformation_type="from_storage"} 4
# TYPE apiserver_storage_transformation_operations_total counter
apiserver_storage_transformation_operations_total{resource="secrets",status="OK",transformation_type="from_storage",transformer_prefix="identity"} 3
apiserver_storage_transformation_operations_total{resource="secrets",status="Unknown",transformation_type="from_storage",transformer_prefix="identity"} 9
process_start_time_seconds 1.75e+09
rest_client_requests_total{this is not the format
`

func TestRead(t *testing.T) {
	r, err := meter.Read(strings.NewReader(metrics))
	if err != nil || r.ID != "sha256:aa" || r.Hash != "sha256:bb" || r.Failures != 2 || r.Failed.Unix() != 1.7e9 || r.Reloaded.Unix() != 1.8e9 || r.Started != 1.75e9 {
		t.Errorf("%+v, %v", r, err)
	}
	if k := r.Keys[`strong"keep`]; len(r.Keys) != 1 || k.Hash != "sha256:k2" || k.At.Nanosecond() == 0 || k.Before.Unix() != 1.8e9 {
		t.Errorf("%+v", r.Keys)
	}
	if r.Operations[meter.Operation{Resource: "secrets", Type: meter.FromStorage, Prefix: "identity"}] != 3 || r.Used[meter.Use{Type: meter.FromStorage, Provider: "p", KeyHash: "sha256:k2"}] != 4 {
		t.Errorf("%+v, %+v", r.Operations, r.Used)
	}
	if c := r.Configuration(); c != `configuration sha256:bb, key of strong"keep sha256:k2` || !meter.Whole(c) || meter.Whole("key of p sha256:1") {
		t.Error(c)
	}
}

// Of several keys that a plugin has told, the last one counts, and when it last told
// another, in whatever order they come.
func TestKeyBefore(t *testing.T) {
	const name = "apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds"
	lines := []string{name + `{key_id_hash="k1",provider_name="p"} 100`, name + `{key_id_hash="k3",provider_name="p"} 300`, name + `{key_id_hash="k2",provider_name="p"} 200`}
	for range 3 {
		lines = append(lines[1:], lines[0])
		r, err := meter.Read(strings.NewReader(strings.Join(lines, "\n") + "\n"))
		if k := r.Keys["p"]; err != nil || k.Hash != "k3" || k.At.Unix() != 300 || k.Before.Unix() != 200 {
			t.Errorf("%v: %+v, %v", lines, r.Keys, err)
		}
	}
	r, err := meter.Read(strings.NewReader(lines[0] + "\n"))
	if err != nil || !r.Keys["p"].Before.IsZero() {
		t.Errorf("of one key: %+v, %v", r.Keys, err)
	}
}

// What was cut off, or is no metrics, is an error: half of it would say that there is no
// file, or another key.
func TestBroken(t *testing.T) {
	const name = "apiserver_encryption_config_controller_last_config_info"
	for what, text := range map[string]string{
		"a long line":  metrics + strings.Repeat("x", 2<<20),
		"no number":    name + `{hash="a"} one` + "\n",
		"an open text": name + `{hash="a` + "\n",
		"cut off":      metrics + name + `{hash="sha25`,
		"no labels":    name + " {",
	} {
		if r, err := meter.Read(strings.NewReader(text)); !errs.Is(err, errs.Unavailable) {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(metrics))
	f.Add([]byte("apiserver_encryption_config_controller_last_config_info{hash=\"} 1"))
	f.Add([]byte("apiserver_encryption_config_controller_automatic_reloads_total{status=\"failure\"} NaN\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := meter.Read(strings.NewReader(string(text)))
		if err == nil && (r.Failures < 0 || strings.ContainsAny(r.Hash+r.ID, "\"\n")) {
			t.Errorf("%+v", r)
		}
	})
}
