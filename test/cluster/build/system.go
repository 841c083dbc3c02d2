package build

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// CNIPlugins is where Debian puts the CNI plugins.
const CNIPlugins = "/usr/lib/cni"

// packages are the Debian packages a node needs to be built and to run, each
// with a test whether it is there.
var packages = []struct {
	name    string
	present func() bool
}{
	{"gcc", command("gcc")},
	{"pkg-config", command("pkg-config")},
	{"libseccomp-dev", file("/usr/include/seccomp.h")},
	{"containernetworking-plugins", file(CNIPlugins + "/ptp")},
	{"iptables", command("iptables")},
	{"iproute2", command("ip")},
	{"util-linux", command("nsenter")},
}

func command(name string) func() bool {
	return func() bool {
		_, err := exec.LookPath(name)
		// After `su` the PATH may be that of a user.
		return err == nil || exists("/usr/sbin/"+name) || exists("/sbin/"+name)
	}
}

func file(path string) func() bool {
	return func() bool { return exists(path) }
}

// ensurePackages installs what is missing if this process may, and otherwise
// says what to install.
func ensurePackages(ctx context.Context, log io.Writer) error {
	missing := missingPackages()
	if len(missing) == 0 {
		return nil
	}
	names := strings.Join(missing, " ")
	if _, err := exec.LookPath("apt-get"); err != nil || os.Getuid() != 0 {
		return fmt.Errorf("a node needs packages that are not installed: run `apt-get install %s` as root (names are Debian's)", names)
	}
	_, _ = fmt.Fprintf(log, "installing Debian packages: %s\n", names)
	install := append([]string{"install", "-y", "--no-install-recommends"}, missing...)
	err := aptGet(ctx, install...)
	if err != nil { // most often because the lists are old or absent
		if err = aptGet(ctx, "update"); err == nil {
			err = aptGet(ctx, install...)
		}
	}
	if err != nil {
		return fmt.Errorf("installing %s: %w", names, err)
	}
	if missing = missingPackages(); len(missing) > 0 {
		return fmt.Errorf("packages are installed and yet not found where expected: %s", strings.Join(missing, " "))
	}
	return nil
}

func missingPackages() []string {
	var missing []string
	for _, p := range packages {
		if !p.present() {
			missing = append(missing, p.name)
		}
	}
	return missing
}

func aptGet(ctx context.Context, args ...string) error {
	// Another process of the machine may hold apt's lock for a while.
	args = append([]string{"-o", "DPkg::Lock::Timeout=300"}, args...)
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("apt-get: %w:\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
