// Command bench measures what Strongkeep promises about its speed and fails if
// a promise is broken. It is what "make bench" runs.
//
// Everything is measured against something else in the same run, on two cores
// of one machine, so that a figure means the same on a slow machine as on a
// fast one: requests per second against those of an empty net/http handler,
// the making of objects in a cluster against plain creates. What is measured
// is the program itself, in a process of its own, with its audit log on.
//
//	go run ./test/bench [-only NAME] [-duration 10s] [-binary FILE]
//
// The table goes to standard output, progress to standard error, and the
// figures to build/bench.json. docs/performance.md tells what each means and
// keeps their history.
//
// A benchmark is one file, or a package below if it is long, with its bounds
// and one line in list.go. All stand on package rig; wrk makes the load and
// figure holds the results. Start reading at list.go, then kv2.go.
package main
