// Package await waits in tests for what comes by itself, and says what it waited for
// when that does not come before the test's own deadline. Start at Until.
package await
