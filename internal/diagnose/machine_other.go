//go:build !linux

package diagnose

import "errors"

const onLinux = "this is asked of Linux only"

func (v *visit) memory() { v.add("no memory leaves for a disk", Unknown, onLinux, "") }
func (v *visit) limits() { v.add("enough files may be open", Unknown, onLinux, "") }
func (v *visit) clock()  { v.add("the clock is kept true", Unknown, onLinux, "") }

func space(string) (free, total uint64, err error) { return 0, 0, errors.New(onLinux) }

func owner(string) string { return "" }
