package verify

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit/chain"
)

type short = [chain.ShortSize]byte

// compareList finds the first line that is not where c's list has it.
func (v *verifier) compareList(c *chain.Checkpoint) {
	have, want := v.align(c)
	i := 0
	for i < len(have) && i < len(want) && have[i].short == want[i] {
		i++
	}
	switch {
	case i == len(have) && i == len(want):
		if v.began {
			v.problem(v.first(), Changed, "one of the %d lines from here to %s is not what was written; the short hashes do not tell which", len(have), v.at)
		}
	case i == len(have):
		v.problem(v.at, Removed, "%s missing right before this checkpoint", count(len(want)-i))
	case i == len(want):
		v.problem(v.place(have[i]), Added, "%s from here on that the server did not write", count(len(have)-i))
	default:
		v.classify(have, want, i)
	}
}

// align returns the lines read and the lines that c lists, from where both begin.
func (v *verifier) align(c *chain.Checkpoint) (have []ref, want []short) {
	want = make([]short, len(c.Short)/chain.ShortSize)
	for i := range want {
		want[i] = short(c.Short[i*chain.ShortSize:])
	}
	have = v.pending
	switch skip := v.proven - c.From(); {
	case v.began && skip > 0:
		want = want[min(int(skip), len(want)):]
	case !v.began && len(have) > len(want):
		have = have[len(have)-len(want):] // what stands before is of no chain
	}
	return have, want
}

// classify says what happened at the first difference.
func (v *verifier) classify(have []ref, want []short, i int) {
	at := v.place(have[i])
	wantedLater := index(len(want), i+1, func(j int) bool { return want[j] == have[i].short })
	standsLater := index(len(have), i+1, func(j int) bool { return have[j].short == want[i] })
	switch {
	case wantedLater > 0 && standsLater > 0:
		v.problem(at, Reordered, "the line that belongs here stands at %s", v.place(have[standsLater]))
	case wantedLater > 0:
		v.problem(at, Removed, "%s missing before this one", count(wantedLater-i))
	case standsLater > 0:
		v.problem(at, Added, "%s from here on that the server did not write", count(standsLater-i))
	default:
		v.problem(at, Changed, "this line is not what was written")
	}
}

// index returns the first j from begin on that is it, 0 if none is.
func index(n, begin int, is func(int) bool) int {
	for j := begin; j < n; j++ {
		if is(j) {
			return j
		}
	}
	return 0
}

func count(n int) string {
	if n == 1 {
		return "a line is"
	}
	return strconv.Itoa(n) + " lines are"
}

// beside reads the side file of name, if there is one.
func (v *verifier) beside(name string) {
	content, err := os.ReadFile(name + ".tree")
	if err != nil || len(content) > 1<<20 {
		return
	}
	for line := range strings.SplitSeq(strings.ReplaceAll(string(content), "\x00", "\n"), "\n") {
		if line != "" {
			v.sides = append(v.sides, line)
		}
	}
}

// expect has the roots noted that checkpoints from elsewhere are about. It is
// called once the key is known; what another key signed is of another log.
func (v *verifier) expect() {
	for i, text := range append(slices.Clone(v.sides), v.cfg.Elsewhere...) {
		c, err := parseAny(text, chain.Keys{v.key})
		if err != nil {
			continue // reported at the end, unless it holds for another chain
		}
		if _, asked := v.roots[c.Size]; !asked {
			v.roots[c.Size] = nil
		}
		v.elses = append(v.elses, elsewhere{c, i < len(v.sides)})
	}
	v.passed()
}

// parseAny reads a checkpoint line or a note.
func parseAny(text string, keys chain.Keys) (*chain.Checkpoint, error) {
	if chain.IsCheckpoint([]byte(strings.TrimSpace(text))) {
		return chain.ParseLine([]byte(strings.TrimSpace(text)), keys)
	}
	return chain.ParseNote([]byte(text), keys)
}

// Checkpoints splits the text of a file into the checkpoints in it: notes and
// checkpoint lines, among anything else. Kind Invalid: there is none.
func Checkpoints(text string) ([]string, error) {
	var all []string
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		if chain.IsCheckpoint([]byte(line)) {
			all = append(all, line)
		}
		if note := chain.Published([]byte(line)); note != "" {
			all = append(all, note)
		}
		if !strings.HasPrefix(line, "strongkeep-audit/") {
			continue
		}
		end := index(len(lines), i+1, func(j int) bool { return lines[j] == "\n" })
		for end > 0 && end+1 < len(lines) && strings.HasPrefix(lines[end+1], "— ") {
			end++
		}
		if end > 0 {
			all = append(all, strings.TrimRight(strings.Join(lines[i:end+1], ""), "\n")+"\n")
		}
	}
	if len(all) == 0 {
		return nil, errs.New(errs.Invalid, "there is no checkpoint in it: give what sys/audit/NAME/checkpoint or the server's log says as note")
	}
	return all, nil
}

// end judges checkpoints from elsewhere and returns the report.
func (v *verifier) end() (*Report, error) {
	r := &v.report
	r.Size = v.tree.Size()
	r.Unproven = int64(len(v.pending))
	if !v.began {
		r.Size, r.Unchained, r.Unproven = 0, r.Lines, 0
		return r, nil
	}
	for _, c := range v.elses {
		v.judge(c, v.roots[c.Size])
	}
	for _, text := range v.cfg.Elsewhere {
		if _, err := parseAny(text, v.cfg.Keys); err != nil {
			r.Unchecked = append(r.Unchecked, "a checkpoint that was given does not hold for this log: "+err.Error())
		}
	}
	return r, nil
}

func (v *verifier) judge(c elsewhere, root *tlog.Hash) {
	switch {
	case root != nil && *root == c.Root:
	case root != nil:
		v.problem(v.at, Forked, "a checkpoint kept elsewhere is about the same %d lines and has another root: this is not the log it was taken of", c.Size)
	case c.Size > v.tree.Size():
		v.problem(v.at, Truncated, "a checkpoint kept elsewhere, of %s, knows %d lines; the files end after %d", c.Time.Format("2006-01-02T15:04:05Z07:00"), c.Size, v.tree.Size())
	case !c.side:
		v.report.Unchecked = append(v.report.Unchecked, "a checkpoint kept elsewhere is about the first "+strconv.Itoa(int(c.Size))+" lines, which these files do not begin with")
	}
}
