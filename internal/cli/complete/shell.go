package complete

import (
	"bytes"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Output is where completion is written to. Shells keep only what begins with
// what was typed: flags typed with one dash are proposed with one.
func Output(args []string, w io.Writer) io.Writer {
	if len(args) < 2 || args[0] != cobra.ShellCompRequestCmd && args[0] != cobra.ShellCompNoDescRequestCmd {
		return w
	}
	typed := args[len(args)-1]
	if len(typed) < 2 || typed[0] != '-' || typed[1] == '-' {
		return w
	}
	return oneDash{w}
}

// oneDash drops a dash of lines that begin with two. Cobra writes whole lines.
type oneDash struct{ w io.Writer }

func (o oneDash) Write(p []byte) (int, error) {
	lines := strings.SplitAfter(string(p), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "--") {
			lines[i] = line[1:]
		}
	}
	if _, err := io.WriteString(o.w, strings.Join(lines, "")); err != nil {
		return 0, err
	}
	return len(p), nil
}

// bash makes the script for bash work without the package bash-completion,
// which slim images and macOS do not have.
func bash(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	c, _, err := root.Find([]string{"completion", "bash"})
	if err != nil || c == root {
		return
	}
	c.Long = `Print the completion script for bash. The package bash-completion is used if it is there.`
	c.Example = "  source <(strongkeep completion bash)    # in ~/.bashrc"
	c.RunE = func(c *cobra.Command, _ []string) error {
		bare, _ := c.Flags().GetBool("no-descriptions")
		var script bytes.Buffer
		if err := root.GenBashCompletionV2(&script, !bare); err != nil {
			return errs.Newf(errs.Internal, "making the script: %w", err)
		}
		_, err := io.WriteString(c.OutOrStdout(), strings.Replace(script.String(), packaged, ours, 1)+words)
		return err
	}
}

// packaged is how the script calls the package bash-completion, ours a function
// that is always there.
const (
	packaged = `_get_comp_words_by_ref "$@" cur prev words cword`
	ours     = `__strongkeep_words "$@"`
)

// words sets cur, prev, words and cword. Paths hold ":" and flags "=", at which bash
// itself would break words; quotes around blanks it does not know.
const words = `
__strongkeep_words()
{
    if declare -F _get_comp_words_by_ref >/dev/null 2>&1; then
        _get_comp_words_by_ref "$@" cur prev words cword
        return
    fi
    local line=${COMP_LINE:0:COMP_POINT}
    read -ra words <<<"${line}"
    [[ ${line} == *[[:space:]] ]] && words+=("")
    cword=$((${#words[@]} - 1))
    cur=${words[cword]}
    prev=${words[cword - 1]}
}
`
