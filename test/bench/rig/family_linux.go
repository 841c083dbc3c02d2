package rig

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// FamilyTime is how long all processes that this one started, and those that they
// started, have run, but for some and what those started. Of processes that have
// ended nothing is known.
func FamilyTime(but ...int) (sum time.Duration) {
	children := map[int][]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0
	}
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		pid, errPID := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if len(fields) < 2 || errPID != nil {
			continue
		}
		if parent, err := strconv.Atoi(fields[1]); err == nil {
			children[parent] = append(children[parent], pid)
		}
	}
	for todo := []int{os.Getpid()}; len(todo) > 0; todo = todo[1:] {
		for _, child := range children[todo[0]] {
			if !slices.Contains(but, child) {
				sum += CPUTime(child)
				todo = append(todo, child)
			}
		}
	}
	return sum
}
