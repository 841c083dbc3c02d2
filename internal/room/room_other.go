//go:build !linux

package room

import "errors"

// Of is not known on this system.
func Of(string) (Space, error) {
	return Space{}, errors.New("how much room a disk has is asked of Linux only")
}
