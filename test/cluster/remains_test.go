package cluster

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/test/cluster/build"
	"github.com/strongkeep/strongkeep/test/cluster/slot"
)

// Guards the promise that a cluster ends with its owner, even when the owner
// cannot do anything about it.
func TestKilledOwnerLeavesNothing(t *testing.T) {
	needRoot(t)
	rules, settings := hostRules(t), kernelSettings(t)
	programs, err := build.Helpers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	owner := exec.Command(programs["cluster"], "up")
	owner.Stderr = logTo(t)
	stdout, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	defer owner.Process.Kill()
	config := awaitKubeconfig(t, bufio.NewScanner(stdout))
	r := look(t, filepath.Dir(filepath.Dir(config)), owner.Process.Pid)

	killed := time.Now()
	owner.Process.Kill()
	owner.Wait()
	r.processes = r.processes[1:] // the owner itself
	r.awaitGone(t, r.processesGone, r.mountsGone, r.deviceGone, r.cgroupsGone, r.dirGone)
	t.Logf("nothing was left %v after the owner was killed", time.Since(killed))
	unchanged(t, rules, settings)
}

// Guards what the kernel does and what the next cluster has to do when even the
// minder is killed.
func TestKilledMinderIsCleanedUpByTheNextCluster(t *testing.T) {
	needRoot(t)
	c, err := Start(t.Context(), Config{Node: true, Log: logTo(t)})
	if err != nil {
		t.Fatal(err)
	}
	runProbe(t, c, "http://"+c.HostIP())
	awaitLog(t, c, "secret=first")
	r := look(t, c.at.Dir, c.minder.Process.Pid)
	if len(r.processes) < 10 {
		t.Errorf("only %d processes, with a pod running: %v", len(r.processes), r.processes)
	}

	c.minder.Process.Kill()
	<-c.Gone()
	r.awaitGone(t, r.processesGone, r.mountsGone, r.deviceGone)
	if err := c.Stop(); err == nil {
		t.Error("Stop does not tell that the minder was killed")
	}
	startCluster(t, Config{})
	r.awaitGone(t, r.cgroupsGone, r.dirGone)
}

// testStop stops a cluster with a running pod. All of it is gone when Stop
// returns, not some time after.
func testStop(t *testing.T, c *Cluster) {
	r := look(t, c.at.Dir, c.minder.Process.Pid)
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []func() error{r.processesGone, r.mountsGone, r.deviceGone, r.cgroupsGone, r.dirGone} {
		if err := gone(); err != nil {
			t.Error(err)
		}
	}
}

// unchanged compares the host with what it was before a node ran.
func unchanged(t *testing.T, rules, settings string) {
	t.Helper()
	if after := hostRules(t); after != rules {
		t.Errorf("packet filter of the host was\n%s\nand is\n%s", rules, after)
	}
	if after := kernelSettings(t); after != settings {
		t.Errorf("kernel settings of the host were\n%s\nand are\n%s", settings, after)
	}
}

// remains is all that a cluster has on the host.
type remains struct {
	dir       string
	number    slot.Number
	processes []process // the first is the one asked about
}

// process is a process for good: numbers alone are used again.
type process struct {
	pid, parent int
	started     string
	name        string
}

// look finds what belongs to the cluster with state in dir that root runs.
func look(t *testing.T, dir string, root int) *remains {
	t.Helper()
	r := &remains{dir: dir, number: numberOf(t, dir)}
	all := processes(t)
	for _, p := range all {
		if p.pid == root {
			r.processes = append(r.processes, p)
		}
	}
	for i := 0; i < len(r.processes); i++ {
		for _, p := range all {
			if p.parent == r.processes[i].pid {
				r.processes = append(r.processes, p)
			}
		}
	}
	// What is not there now cannot be missed later.
	for _, check := range []func() error{r.processesGone, r.deviceGone, r.cgroupsGone, r.dirGone} {
		if check() == nil {
			t.Errorf("remains of a running cluster are not found: %+v", r)
		}
	}
	return r
}

// numberOf reads the number from the registry.
func numberOf(t *testing.T, dir string) slot.Number {
	t.Helper()
	notes, err := filepath.Glob("/run/strongkeep-cluster/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, note := range notes {
		if b, err := os.ReadFile(note); err == nil && strings.Contains(string(b), strconv.Quote(dir)) {
			n, err := strconv.Atoi(filepath.Base(note))
			if err != nil {
				t.Fatal(err)
			}
			return slot.Number(n)
		}
	}
	t.Fatalf("no note about %s in %v", dir, notes)
	return 0
}

func (r *remains) awaitGone(t *testing.T, checks ...func() error) {
	t.Helper()
	for _, gone := range checks {
		eventually(t, "remains to go", gone)
	}
}

func (r *remains) processesGone() error {
	for _, p := range r.processes {
		if now, ok := readProcess(p.pid); ok && now.started == p.started {
			return fmt.Errorf("process %d (%s) is still there", p.pid, p.name)
		}
	}
	return nil
}

func (r *remains) mountsGone() error {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, r.dir) {
			return fmt.Errorf("still mounted: %s", line)
		}
	}
	return nil
}

func (r *remains) deviceGone() error {
	if _, err := net.InterfaceByName(r.number.Device()); err == nil {
		return fmt.Errorf("device %s is still there", r.number.Device())
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr() == r.number.HostIP() {
			return fmt.Errorf("address %v is still there", a)
		}
	}
	return nil
}

func (r *remains) cgroupsGone() error {
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		left, err := filepath.Glob(pattern + r.number.Cgroup())
		if err != nil {
			return err
		}
		if len(left) > 0 {
			return fmt.Errorf("cgroups are still there: %v", left)
		}
	}
	return nil
}

func (r *remains) dirGone() error {
	_, err := os.Stat(r.dir)
	if err == nil {
		return fmt.Errorf("%s is still there", r.dir)
	}
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

func processes(t *testing.T) []process {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var all []process
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if p, ok := readProcess(pid); ok {
				all = append(all, p)
			}
		}
	}
	return all
}

// readProcess reads /proc/PID/stat; see proc_pid_stat(5). Zombies count as gone.
func readProcess(pid int) (process, bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, false
	}
	_, rest, _ := strings.Cut(string(b), "(")
	end := strings.LastIndex(rest, ")")
	if end < 0 {
		return process{}, false
	}
	f := strings.Fields(rest[end+1:]) // from the third field, the state
	if len(f) < 20 || f[0] == "Z" {
		return process{}, false
	}
	parent, err := strconv.Atoi(f[1])
	return process{pid: pid, parent: parent, started: f[19], name: rest[:end]}, err == nil
}

// noProcessMentions fails if a process has the directory in its arguments.
func noProcessMentions(t *testing.T, dir string) {
	t.Helper()
	for _, p := range processes(t) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
		if err == nil && strings.Contains(string(b), dir) {
			t.Errorf("process %d (%s) is still there", p.pid, p.name)
		}
	}
}

func awaitKubeconfig(t *testing.T, lines *bufio.Scanner) string {
	t.Helper()
	for lines.Scan() {
		if _, path, ok := strings.Cut(lines.Text(), "export KUBECONFIG="); ok {
			return path
		}
	}
	t.Fatalf("the program ended without printing a kubeconfig: %v", lines.Err())
	return ""
}

// hostRules is the packet filter of the host, without counters and dates.
func hostRules(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(context.Background(), "iptables-save").Output()
	if err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ":") {
			rules.WriteString(line)
		}
	}
	return rules.String()
}

// kernelSettings are those that a kubelet and kube-proxy would set.
func kernelSettings(t *testing.T) string {
	t.Helper()
	var settings strings.Builder
	for _, name := range []string{
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
		"kernel/keys/root_maxkeys", "net/ipv4/ip_forward", "net/ipv4/conf/all/route_localnet",
	} {
		b, err := os.ReadFile("/proc/sys/" + name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&settings, "%s %s", name, b)
	}
	return settings.String()
}
