// Package node serves what people ask of the server itself: sys/loggers,
// sys/host-info, sys/version-history and sys/config/state/sanitized.
//
// Start reading at Routes.
package node
