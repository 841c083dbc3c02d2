package member

import "testing"

// etcd holds the size of the file against the quota, not what is in use of it.
func TestHealth(t *testing.T) {
	const mib = 1 << 20
	for name, tc := range map[string]struct {
		h           Health
		full, worth bool
	}{
		"new":                     {Health{Size: mib, InUse: mib / 10, Quota: 1000 * mib}, false, false},
		"half free":               {Health{Size: 200 * mib, InUse: 100 * mib, Quota: 1000 * mib}, false, true},
		"less than half free":     {Health{Size: 200 * mib, InUse: 110 * mib, Quota: 1000 * mib}, false, false},
		"the file is near":        {Health{Size: 800 * mib, InUse: 600 * mib, Quota: 1000 * mib}, true, false},
		"near, and much is free":  {Health{Size: 800 * mib, InUse: 550 * mib, Quota: 1000 * mib}, true, true},
		"not near, and less free": {Health{Size: 799 * mib, InUse: 550 * mib, Quota: 1000 * mib}, false, false},
		"small, but full":         {Health{Size: 24 * mib, InUse: 12 * mib, Quota: 24 * mib, NoSpace: true}, true, true},
		"full of data":            {Health{Size: 1000 * mib, InUse: 950 * mib, Quota: 1000 * mib, NoSpace: true}, true, false},
		"another is full":         {Health{Size: 100 * mib, InUse: 20 * mib, Quota: 1000 * mib, NoSpace: true}, true, false},
	} {
		if tc.h.Full() != tc.full || tc.h.worth() != tc.worth {
			t.Errorf("%s: full %v, worth defragmenting %v; want %v, %v", name, tc.h.Full(), tc.h.worth(), tc.full, tc.worth)
		}
	}
}
