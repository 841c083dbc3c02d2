// Package collector hears the applications of test/rotation/sample, also those
// that end, and sums up what worked and what did not over every pod there ever
// was.
//
// Only tests and the demo import it. Start reading at Start.
package collector
