//go:build race

package audit

const raceEnabled = true // sync.Pool drops items at random
