// Package network puts processes of one machine on hosts of their own, and the harness between
// them: each host is a network and a mount namespace whose only device is a TUN that the harness
// reads, so that every packet passes through one function that delivers, delays or drops it, by
// direction. The kernel's own means (tc netem) are not in every kernel; this needs /dev/net/tun
// and root.
//
// The namespaces have no names: they are held by a thread of this process and by what runs in
// them, so that nothing is left when the process ends, however it ends, and several runs cannot
// meet.
//
// Start reading at Net.
package network
