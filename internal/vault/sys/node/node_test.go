package node

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

// A version is noted once; the one after it names it.
func TestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New(mem.Config{})
		defer s.Close()
		at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		for i, version := range []string{"1.9.0", "1.9.0", "1.10.0", "1.9.0"} {
			if err := Record(t.Context(), s, version, "", at.Add(time.Duration(i)*time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		all, names, err := history(t.Context(), s)
		if err != nil || len(names) != 2 || names[0] != "1.9.0" || names[1] != "1.10.0" {
			t.Fatal(names, err)
		}
		if all["1.9.0"].Previous != nil || !all["1.9.0"].Installed.Equal(at) {
			t.Errorf("%+v", all["1.9.0"])
		}
		if p := all["1.10.0"].Previous; p == nil || *p != "1.9.0" {
			t.Errorf("%+v", all["1.10.0"])
		}
	})
}

// The forms of proc(5).
func TestKernelFiles(t *testing.T) {
	m := memory("MemTotal:       16384 kB\nMemFree:  1 kB\nHugePages_Total: 7\nSwapTotal: x kB\nCached")
	if m["total"] != uint64(16<<20) || m["free"] != uint64(1024) || len(m) != 2 {
		t.Errorf("%v", m)
	}
	cpu := processors("processor\t: 0\nvendor_id\t: V\nmodel name\t: M: 1\ncpu MHz\t: 2.5\n")
	if one := cpu[0].(map[string]any); one["modelName"] != "M: 1" || one["vendorId"] != "V" || one["mhz"] != 2.5 {
		t.Errorf("%v", cpu)
	}
	if read("/none") != "" || len(memory("")) != 0 || len(processors("")) == 0 || len(disks("/none")) != 0 {
		t.Error("what is not told is not absent")
	}
}
