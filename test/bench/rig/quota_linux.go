package rig

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Quota is a control group (cgroups(7)): what runs in it gets a part of the time of one core,
// as a pod with a limit.
type Quota struct{ dir string }

// period over which the kernel counts what a group has had, in µs: its default, and that of
// Kubernetes. With a short one much of a small quota is lost between cores.
const period = 100_000

// NewQuota makes a group of that name for part of a core, such as 0.3. Kinds: Unsupported
// (only root may, where the kernel's controller of processor time is).
func NewQuota(name string, part float64) (*Quota, error) {
	const root = "/sys/fs/cgroup"
	spend := strconv.Itoa(int(part * period))
	files := map[string]string{"cpu.max": spend + " " + strconv.Itoa(period)}
	parent := root
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil { // version 1
		parent = filepath.Join(root, "cpu")
		files = map[string]string{"cpu.cfs_period_us": strconv.Itoa(period), "cpu.cfs_quota_us": spend}
	} else if err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+cpu"), 0); err != nil {
		return nil, errs.Newf(errs.Unsupported, "asking for the controller of processor time: %w", err)
	}
	q := &Quota{dir: filepath.Join(parent, name)}
	if err := os.Mkdir(q.dir, 0o755); err != nil {
		return nil, errs.Newf(errs.Unsupported, "making a control group: %w", err)
	}
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(q.dir, file), []byte(text), 0); err != nil {
			return nil, errs.Newf(errs.Unsupported, "setting a quota of processor time: %w", errors.Join(err, q.Close()))
		}
	}
	return q, nil
}

// Within is the command that runs another in the group, from its first instruction on.
func (q *Quota) Within(command ...string) []string {
	return append([]string{"sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(q.dir, "cgroup.procs")}, command...)
}

// Close removes the group, whose processes have ended.
func (q *Quota) Close() error { return os.Remove(q.dir) }
