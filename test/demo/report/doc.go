// Package report prints what the demo does, one line for each step:
//
//	mark  time of the step  name  what came of it
//
// On a terminal the step that is under way is shown too. Start reading at
// [Report.Begin].
package report
