// Package socket is the audit device that writes lines to a TCP, TLS, UDP or
// Unix socket, and Link, the connection that it and the syslog device share.
//
// What a socket proves: that a write returned says that the kernel has the
// bytes, over TCP and Unix sockets also that the other side was connected a
// moment ago. It does not say that anybody kept them. UDP does not even say
// that they left. A device that must prove more is a file.
//
// Start reading at New, then Link.
package socket
