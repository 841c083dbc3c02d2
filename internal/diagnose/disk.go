package diagnose

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/keystore/credential"
	"github.com/strongkeep/strongkeep/internal/room"
)

// What is little, and what is slow.
const (
	littleSpace = 1 << 30
	noSpace     = 128 << 20
	syncs       = 20
	slowSync    = 20 * time.Millisecond
	verySlow    = 250 * time.Millisecond
)

// disk looks at the data directory.
func (v *visit) disk() {
	c := &v.cfg.Server
	if c.Storage == "mem" && c.Dev {
		return
	}
	dir, missing := existing(c.DataDir)
	const there = "the data directory can be used"
	switch {
	case missing:
		v.add(there, Warning, c.DataDir+" is not there; the server makes it at its first start, if it may", "install -d -m 0700 -o USER "+c.DataDir)
	default:
		v.private(there, c.DataDir)
	}
	const enough = "there is room on the disk"
	on, err := room.Of(dir)
	switch {
	case err != nil:
		v.add(enough, Unknown, err.Error(), "")
	case on.Free < noSpace:
		v.add(enough, Failed, fmt.Sprintf("%s of %s are free: commits and audit lines are about to fail", gib(on.Free), gib(on.Total)), "make room below "+dir+": move rotated audit logs away first")
	case on.Free < littleSpace || on.Free < on.Total/20:
		v.add(enough, Warning, fmt.Sprintf("%s of %s are free (%s)", gib(on.Free), gib(on.Total), percent(on.Free, on.Total)), "make room below "+dir)
	default:
		v.ok(enough, "%s of %s are free (%s)", gib(on.Free), gib(on.Total), percent(on.Free, on.Total))
	}
	if !missing {
		v.syncs(c.DataDir)
	}
	v.audit()
}

// existing is the nearest directory above that is there.
func existing(dir string) (_ string, missing bool) {
	for {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir, missing
		}
		missing = true
		up := filepath.Dir(dir)
		if up == dir {
			return dir, missing
		}
		dir = up
	}
}

// syncs measures what every write waits for.
func (v *visit) syncs(dir string) {
	const question = "writes are durable soon"
	took, err := measure(dir)
	if err != nil {
		v.add(question, Unknown, err.Error(), "run it as the server's user")
		return
	}
	slices.Sort(took)
	median, worst := took[len(took)/2], took[len(took)-1]
	detail := fmt.Sprintf("of %d syncs of 4 KiB the median took %v, the slowest %v", len(took), median.Round(time.Microsecond), worst.Round(time.Microsecond))
	switch {
	case median > verySlow:
		v.add(question, Failed, detail+"; every write waits for two", "put the data directory on another disk, or find who keeps this one busy: iostat -x 1")
	case median > slowSync || worst > verySlow:
		v.add(question, Warning, detail, "find who keeps the disk busy: iostat -x 1")
	default:
		v.ok(question, "%s", detail)
	}
}

// measure syncs a file of its own, which it removes.
func measure(dir string) (took []time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".diagnose-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	page := make([]byte, 4<<10)
	for range syncs {
		if _, err := f.Write(page); err != nil {
			return nil, err
		}
		began := time.Now()
		if err := f.Sync(); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// audit looks at where the audit devices of files write.
func (v *visit) audit() {
	const question = "the audit directory can be written to"
	dir := v.cfg.Server.AuditDir
	if _, missing := existing(dir); missing {
		v.add(question, Warning, dir+" is not there; the server makes it at its start, if it may", "install -d -m 0700 -o USER "+dir)
		return
	}
	v.private(question, dir)
}

// private looks whether a directory can be written to, and by nobody else.
func (v *visit) private(question, dir string) {
	info, err := os.Stat(dir)
	if err != nil {
		v.add(question, Failed, err.Error(), "run it as the server's user")
		return
	}
	if err := writable(dir); err != nil {
		v.add(question, Failed, err.Error(), "give it to the server's user, and run this as that user: chown -R USER "+dir)
		return
	}
	if info.Mode().Perm()&0o077 != 0 {
		v.add(question, Warning, fmt.Sprintf("%s has mode %#o: others of this machine may look into it", dir, info.Mode().Perm()), "chmod 0700 "+dir)
		return
	}
	v.ok(question, "%s, mode %#o", dir, info.Mode().Perm())
}

func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".diagnose-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// files looks at who may read those that are secret.
func (v *visit) files() {
	c := &v.cfg.Server
	for _, f := range []struct{ setting, path string }{
		{"tls_key", c.TLSKey}, {"unseal_key_file", c.UnsealKeyFile}, {"cluster_key_file", c.ClusterKeyFile}, {"etcd_key_file", c.EtcdKeyFile}, {"etcd_password_file", c.EtcdPasswordFile},
		{"the key of the server's own CA", filepath.Join(c.DataDir, "tls", "ca-key.pem")},
	} {
		if f.path == "" {
			continue
		}
		question := "only the server reads " + f.setting
		info, err := os.Stat(f.path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && f.setting[0:3] == "the":
			continue // made at the first start
		case err != nil:
			v.add(question, Failed, err.Error(), "make the file, or correct "+f.setting)
		case info.Mode().Perm()&0o007 != 0 || f.setting == "unseal_key_file" && credential.Private(f.path, info) != nil:
			v.add(question, Failed, fmt.Sprintf("%s has mode %#o", f.path, info.Mode().Perm()), "chmod 0600 "+f.path)
		case info.Mode().Perm()&0o070 != 0:
			v.add(question, Warning, fmt.Sprintf("%s has mode %#o: its group may use it, as is right for a Kubernetes Secret mounted with fsGroup", f.path, info.Mode().Perm()), "chmod 0600 "+f.path)
		case owner(f.path) != "":
			v.add(question, Warning, f.path+" belongs to "+owner(f.path)+", and this is another user", "run this as the server's user: sudo -u USER strongkeep operator diagnose …")
		default:
			v.ok(question, "%s, mode %#o", f.path, info.Mode().Perm())
		}
	}
}
