// Package statement reads SQL as far as is needed to cut a script into
// statements and to put values where its placeholders stand.
//
// A role's script is the operator's and is trusted; the values are not: the
// display name of whoever asks is part of a user name. So a value is escaped
// for the very quotes that its placeholder stands in, and where there are none
// it must be a plain word. A password with a quote in it works, and a user name
// with one can end nothing (the class of CVE-2026-39946). A dollar quote is read
// as the code it mostly is: see expander.dollar.
//
// Decode reads a field of statements from a request.
//
// Start reading at Expand.
package statement
