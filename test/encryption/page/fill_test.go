package page

import (
	"slices"
	"testing"
)

func TestFill(t *testing.T) {
	got, err := fill(`verify -etcd=https://10.0.0.1 -key=`+KeyID, []string{"https://10.0.0.1", "https://x", KeyID, "sk1"})
	if err != nil || !slices.Equal(got, []string{"verify", "-etcd=https://x", "-key=sk1"}) {
		t.Errorf("%q, %v", got, err)
	}
	for _, pairs := range [][]string{nil, {"https://10.0.0.1", "x"}, {"https://10.0.0.1", "x", KeyID, "y", "nothing", "z"}} {
		if _, err := fill(`verify -etcd=https://10.0.0.1 -key=`+KeyID, pairs); err == nil {
			t.Errorf("with %q it was taken", pairs)
		}
	}
}
