package network

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// mtu is large, for the harness pays by the packet.
const mtu = 32 << 10

// Host is where processes run: a network and a mount namespace. Do is for any goroutine.
type Host struct {
	Name string
	Addr netip.Addr

	space int // the network namespace, as a file
	tun   *os.File
	work  chan func()
	done  chan struct{}
}

func newHost(name string, addr netip.Addr) (*Host, error) {
	h := &Host{Name: name, Addr: addr, space: -1, work: make(chan func()), done: make(chan struct{})}
	opened := make(chan error, 1)
	go h.run(opened)
	if err := <-opened; err != nil {
		close(h.work)
		<-h.done
		return nil, fmt.Errorf("making the host %s: %w", name, err)
	}
	return h, nil
}

// run holds the thread that is in the namespaces. It is never unlocked: the thread ends with
// the goroutine, and is used by nothing else.
func (h *Host) run(opened chan<- error) {
	defer close(h.done)
	runtime.LockOSThread()
	opened <- h.open()
	for f := range h.work {
		f()
	}
	if h.space >= 0 {
		_ = unix.Close(h.space)
	}
}

func (h *Host) open() error {
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unsharing: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keeping mounts to itself: %w", err)
	}
	var err error
	if h.space, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("opening the namespace: %w", err)
	}
	return h.openTUN()
}

func (h *Host) openTUN() error {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("opening /dev/net/tun: %w", err)
	}
	ifr, err := unix.NewIfreq("chaos0")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("making the device: %w", err)
	}
	h.tun = os.NewFile(uintptr(fd), "chaos0")
	return h.configure()
}

// configure gives the device its address and sets it and the loopback up.
func (h *Host) configure() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(s) }()
	addr := h.Addr.As4()
	for _, step := range []struct {
		what   string
		device string
		ioctl  uint
		set    func(*unix.Ifreq) error
	}{
		{"mtu", "chaos0", unix.SIOCSIFMTU, func(i *unix.Ifreq) error { i.SetUint32(mtu); return nil }},
		{"address", "chaos0", unix.SIOCSIFADDR, func(i *unix.Ifreq) error { return i.SetInet4Addr(addr[:]) }},
		{"mask", "chaos0", unix.SIOCSIFNETMASK, func(i *unix.Ifreq) error { return i.SetInet4Addr([]byte{255, 255, 255, 0}) }},
		{"up", "chaos0", unix.SIOCSIFFLAGS, func(i *unix.Ifreq) error { i.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }},
		{"loopback", "lo", unix.SIOCSIFFLAGS, func(i *unix.Ifreq) error { i.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }},
	} {
		ifr, err := unix.NewIfreq(step.device)
		if err != nil {
			return err
		}
		if err := step.set(ifr); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(s, step.ioctl, ifr); err != nil {
			return fmt.Errorf("configuring the device (%s): %w", step.what, err)
		}
	}
	return nil
}

// Do runs f on the host's thread: what it starts or mounts is on the host. A process started
// by f with Pdeathsig lives until the host is closed.
func (h *Host) Do(f func() error) error {
	failed := make(chan error, 1)
	h.work <- func() { failed <- f() }
	return <-failed
}

// Dial connects from the host; for http.Transport. address has an IP, never a name.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	dialled := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread of another namespace ends here
		if err := unix.Setns(h.space, unix.CLONE_NEWNET); err != nil {
			dialled <- result{nil, fmt.Errorf("going to %s: %w", h.Name, err)}
			return
		}
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		dialled <- result{c, err}
	}()
	r := <-dialled
	return r.conn, r.err
}

// Listen listens on the host.
func (h *Host) Listen(port uint16) (l net.Listener, err error) {
	err = h.Do(func() error {
		l, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(h.Addr, port)))
		return err
	})
	return l, err
}

func (h *Host) close() {
	_ = h.tun.Close()
	close(h.work)
	<-h.done
}

// route reads where an IPv4 packet comes from and goes to.
func route(packet []byte) (from, to netip.Addr, ok bool) {
	if len(packet) < 20 || packet[0]>>4 != 4 || int(binary.BigEndian.Uint16(packet[2:])) > len(packet) {
		return from, to, false
	}
	return netip.AddrFrom4([4]byte(packet[12:16])), netip.AddrFrom4([4]byte(packet[16:20])), true
}
