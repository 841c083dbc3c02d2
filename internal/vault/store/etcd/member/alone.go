package member

// MayFill reports whether dir is empty, or has what this node formed alone: so has who was cut
// off while it filled the store of a cluster that others join later. Kind Invalid: a person
// has to look at the directory.
func MayFill(dir, name string) (bool, error) {
	if !hasData(dir) {
		return true, nil
	}
	r, err := loadRecord(dir, name)
	return len(r.Births) == 1, err
}
