// Package reload takes up what has changed on the machine while a server runs:
// its configuration, the files of its certificate, and audit files after a
// rotation of logs. Settings that nothing here knows are named, and wait for
// the next start.
//
// Start reading at Reloader.Run.
package reload
