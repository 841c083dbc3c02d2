//go:build race

package token

const raceDetector = true
