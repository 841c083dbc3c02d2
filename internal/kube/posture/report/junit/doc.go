// Package junit writes a report as the XML that CI systems read: a test for
// each question.
//
// Start reading at Write.
package junit
