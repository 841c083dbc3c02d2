package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

// pluginFile is what kubectl runs for `kubectl strongkeep`; on Windows with an
// ending.
const pluginFile = "kubectl-strongkeep"

// asPlugin makes the help of root and its commands say `kubectl strongkeep` where
// program is kubectl's plugin.
func asPlugin(program string, root *cobra.Command) {
	if strings.TrimSuffix(program, ".exe") != pluginFile {
		return
	}
	root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl strongkeep"}
	var rename func(*cobra.Command)
	rename = func(c *cobra.Command) {
		lines := strings.Split(c.Example, "\n")
		for i, line := range lines {
			line = strings.ReplaceAll(line, "| strongkeep ", "| kubectl strongkeep ")
			if rest, ok := strings.CutPrefix(line, "  strongkeep "); ok {
				line = "  kubectl strongkeep " + rest
			}
			lines[i] = line
		}
		c.Example = strings.Join(lines, "\n")
		for _, sub := range c.Commands() {
			rename(sub)
		}
	}
	rename(root)
}
