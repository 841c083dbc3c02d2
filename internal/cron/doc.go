// Package cron reads cron expressions in time zones, and says when they come next, across
// changes of clocks.
//
// Start reading at Parse.
package cron
