package atrest

import "testing"

func TestCount(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		want   counts
	}{
		"in the clear": {`{"resources":[{"values":3,"under":[{"provider":"clear","values":2},{"provider":"kms-v2/strongkeep","values":1}]}],"answers":[{"answer":"no"},{"answer":"not checked"}]}`, counts{3, 2, 1}},
		"encrypted":    {`{"resources":[{"values":3,"under":[{"provider":"kms-v2/strongkeep","values":3}]}],"answers":[{"answer":"yes"}]}`, counts{3, 0, 0}},
	} {
		if got, err := count([]byte(c.answer)); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := count([]byte("Error")); err == nil {
		t.Error("what is no JSON was counted")
	}
}

// An act that never began can be stopped.
func TestStopOfNone(*testing.T) {
	var a *Act
	a.Stop()
}
