//go:build !linux

package diagnose

const onLinux = "this is asked of Linux only"

func (v *visit) process() {}
func (v *visit) memory()  { v.add("no memory leaves for a disk", Unknown, onLinux, "") }
func (v *visit) limits()  { v.add("enough files may be open", Unknown, onLinux, "") }
func (v *visit) clock()   { v.add("the clock is kept true", Unknown, onLinux, "") }

func owner(string) string { return "" }
