package node

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// host has the form that clients know: the values that this system does not tell
// are absent.
func (c Config) host(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
	name, _ := os.Hostname()
	system := map[string]any{"hostname": name, "os": runtime.GOOS, "kernelArch": runtime.GOARCH}
	data := map[string]any{
		"timestamp": c.Now().UTC().Format(time.RFC3339Nano), "host": system,
		"cpu": processors(read("/proc/cpuinfo")), "memory": memory(read("/proc/meminfo")), "disk": disks(c.Dir),
	}
	if v := strings.TrimSpace(read("/proc/sys/kernel/osrelease")); v != "" {
		system["kernelVersion"] = v
	}
	if up, _, ok := strings.Cut(read("/proc/uptime"), "."); ok {
		if seconds, err := strconv.ParseUint(up, 10, 63); err == nil {
			system["uptime"] = seconds
		}
	}
	return respond(data)
}

// read is the text of one of the kernel's files, "" where there is none.
func read(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(raw)
}

// processors are those that the process may use, with what the kernel says of
// their kind in the form of /proc/cpuinfo.
func processors(cpuinfo string) []any {
	model := map[string]any{}
	for line := range strings.Lines(cpuinfo) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "vendor_id":
			model["vendorId"] = value
		case "model name":
			model["modelName"] = value
		case "cpu MHz":
			if mhz, err := strconv.ParseFloat(value, 64); err == nil {
				model["mhz"] = mhz
			}
		}
	}
	all := make([]any, runtime.NumCPU())
	for i := range all {
		one := map[string]any{"cpu": i, "cores": 1}
		for k, v := range model {
			one[k] = v
		}
		all[i] = one
	}
	return all
}

// memory is in bytes, from the form of /proc/meminfo, whose lines are "Name:  N kB".
func memory(meminfo string) map[string]any {
	known := map[string]string{
		"MemTotal": "total", "MemAvailable": "available", "MemFree": "free", "Buffers": "buffers", "Cached": "cached",
		"SwapTotal": "swapTotal", "SwapFree": "swapFree",
	}
	m := map[string]any{}
	for line := range strings.Lines(meminfo) {
		name, value, _ := strings.Cut(line, ":")
		field, ok := known[name]
		if !ok {
			continue
		}
		if n, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 54); err == nil {
			m[field] = n << 10
		}
	}
	return m
}
