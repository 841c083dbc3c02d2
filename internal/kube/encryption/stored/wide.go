package stored

import (
	"context"
	"slices"
	"strings"
)

// Wide is a Source that reads all keys, and counts what does not lie in the folders that
// are asked for: of another API server's prefix, say. It is for one reading.
type Wide struct {
	Source
	Elsewhere map[Under]int // values by what they are under; superseded ones are not counted
}

// Read implements Source.
func (w *Wide) Read(ctx context.Context, folders []string, visit func(Entry)) (Origin, error) {
	w.Elsewhere = map[Under]int{}
	return w.Source.Read(ctx, []string{"/"}, func(e Entry) { // API servers' prefixes begin with it
		switch key := string(e.Key); {
		case slices.ContainsFunc(folders, func(f string) bool { return strings.HasPrefix(key, f) }):
			visit(e)
		case !e.Superseded:
			w.Elsewhere[Parse(e.Value)]++
		}
	})
}
