package rewrite

import (
	"testing"
	"time"
)

func times(d time.Duration, n int) (s sample) {
	for range n {
		s.took = append(s.took, d)
	}
	return s
}

// The width follows what the API server answers.
func TestPace(t *testing.T) {
	const ms = time.Millisecond
	p := pace{width: 2, most: 4}
	for i, c := range []struct {
		s    sample
		want int
	}{
		{times(10*ms, 5), 3}, {times(10*ms, 5), 4}, {times(15*ms, 5), 4}, // no more than the most
		{times(25*ms, 5), 3}, {times(25*ms, 5), 2}, // others wait twice as long
		{times(20*ms, 5), 3},             // twice as long, and not more
		{sample{refused: 1}, 1},          // it said that it is too much
		{sample{refused: 9}, 1},          // never none
		{sample{}, 1},                    // an empty page says nothing
		{times(5*ms, 5), 2},              // and a new base
		{times(11*ms, 5), 1},             // by which this is slow
		{append5(times(5*ms, 5), ms), 2}, // by the median
	} {
		if p.next(c.s); p.width != c.want {
			t.Fatalf("page %d: %d at once, want %d", i, p.width, c.want)
		}
	}
}

// append5 adds one answer that took very long.
func append5(s sample, d time.Duration) sample {
	s.took = append(s.took, 1000*d)
	return s
}

func TestConfigurationOf(t *testing.T) {
	const metrics = `# HELP x
apiserver_encryption_config_controller_last_config_info{apiserver_id_hash="sha256:1",hash="sha256:aa"} 1
apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds{apiserver_id_hash="sha256:1",key_id_hash="sha256:old",provider_name="strongkeep"} 1.7e+09
apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds{apiserver_id_hash="sha256:1",key_id_hash="sha256:new",provider_name="strongkeep"} 1.7000001e+09
apiserver_request_total{hash="x"} 1
`
	for text, want := range map[string]string{
		metrics: "configuration sha256:aa, key of strongkeep sha256:new",
		"":      "",
		"apiserver_encryption_config_controller_last_config_info{":                                        "configuration ",
		"apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds{key_id_hash=\"x\"} much": "",
	} {
		if got := configurationOf([]byte(text)); got != want {
			t.Errorf("%q, want %q of:\n%s", got, want, text)
		}
	}
}

func FuzzConfigurationOf(f *testing.F) {
	f.Add([]byte(`apiserver_encryption_config_controller_last_config_info{hash="a"} 1`))
	f.Fuzz(func(_ *testing.T, text []byte) { configurationOf(text) })
}
