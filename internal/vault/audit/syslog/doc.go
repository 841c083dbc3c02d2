// Package syslog is the audit device that sends lines as messages of RFC 5424
// to the local system log, or to a collector over UDP (RFC 5426), TCP
// (RFC 6587, octet counting) or TLS (RFC 5425).
//
// Start reading at New.
package syslog
