package repo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// git runs Git in a repository.
type git struct{ dir string }

// command is one that neither runs what a repository's configuration says nor
// fetches, asks or writes.
func (g *git) command(ctx context.Context, args ...string) *exec.Cmd {
	safe := []string{"--no-pager", "--no-replace-objects", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "protocol.allow=never", "-c", "log.showSignature=false", "-C", g.dir}
	c := exec.CommandContext(ctx, "git", append(safe, args...)...)
	c.Env = append(slices.DeleteFunc(os.Environ(), elsewhere), "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "GIT_NO_LAZY_FETCH=1", "GIT_EXTERNAL_DIFF=", "LC_ALL=C")
	return c
}

// local are the variables by which Git is told of another repository than that of the
// folder it runs in, as a hook of Git is; `git rev-parse --local-env-vars` names them.
var local = []string{
	"GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_IMPLICIT_WORK_TREE",
	"GIT_GRAFT_FILE", "GIT_SHALLOW_FILE", "GIT_REPLACE_REF_BASE", "GIT_PREFIX", "GIT_NAMESPACE",
}

// elsewhere reports whether a variable, NAME=value, is one of these.
func elsewhere(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return slices.Contains(local, name)
}

// stream runs a command and gives its output to f.
func (g *git) stream(c *exec.Cmd, f func(*bufio.Reader) error) error {
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.StdoutPipe()
	if err != nil {
		return errs.Newf(errs.Internal, "running git: %w", err)
	}
	if err := c.Start(); err != nil {
		return errs.Newf(errs.Unavailable, "running git: %w: looking at a repository needs it installed", err)
	}
	err = f(bufio.NewReaderSize(out, 1<<18))
	if err != nil {
		_ = c.Process.Kill()
	} else {
		_, err = io.Copy(io.Discard, out)
	}
	if wait := c.Wait(); err == nil && wait != nil {
		text, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n")
		return errs.Newf(errs.Invalid, "reading the repository %s: git says %q: %w", g.dir, text, wait)
	}
	return err
}

// output is that of a command that prints little.
func (g *git) output(ctx context.Context, args ...string) (string, error) {
	var out []byte
	err := g.stream(g.command(ctx, args...), func(r *bufio.Reader) error {
		var err error
		out, err = io.ReadAll(io.LimitReader(r, 1<<20))
		return err
	})
	return strings.TrimSpace(string(out)), err
}

// is reports whether the folder is a repository, or a part of one: then all of that is
// looked at.
func (g *git) is(ctx context.Context) (bool, error) {
	if _, err := exec.LookPath("git"); err != nil {
		if _, err := os.Stat(g.dir + "/.git"); err == nil {
			return false, errs.Newf(errs.Unavailable, "looking at the repository %s: it takes git, which is not installed", g.dir)
		}
		return false, nil
	}
	_, err := g.output(ctx, "rev-parse", "--git-dir")
	if err == nil || !errs.Is(err, errs.Invalid) {
		return err == nil, err
	}
	if _, stat := os.Stat(g.dir + "/.git"); stat == nil {
		return false, err // one that git refuses: broken, or of another owner
	}
	return false, nil
}

// missing says what of the history is not there.
func (g *git) missing(ctx context.Context) ([]string, error) {
	var out []string
	shallow, err := g.output(ctx, "rev-parse", "--is-shallow-repository")
	if err != nil {
		return nil, err
	}
	if shallow == "true" {
		out = append(out, g.dir+" is a shallow clone: its history is not here (git fetch --unshallow)")
	}
	partial, err := g.output(ctx, "config", "--default", "", "--get", "extensions.partialClone")
	if err != nil {
		return nil, err
	}
	if partial != "" {
		out = append(out, g.dir+" is a partial clone: files that were never checked out are not here")
	}
	modules, err := g.tree(ctx, "commit")
	if err != nil {
		return nil, err
	}
	if n := len(modules); n > 0 {
		out = append(out, fmt.Sprintf("%s has %d submodules (%s), repositories of their own of which nothing is here: look at each by itself", g.dir, n, modules[0].path))
	}
	return out, nil
}

// blobs calls f with every file version that the repository has, reachable or not,
// in the order in which it lies in packs. The text of one over largest is nil.
func (g *git) blobs(ctx context.Context, f func(blob, int64) error) error {
	c := g.command(ctx, "cat-file", "--batch-all-objects", "--unordered", "--buffer", "--batch")
	return g.stream(c, func(r *bufio.Reader) error {
		for {
			id, kind, size, err := header(r)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			b := blob{id: id}
			if kind == "blob" && size <= largest {
				b.text = make([]byte, size)
				_, err = io.ReadFull(r, b.text)
			} else {
				_, err = io.CopyN(io.Discard, r, size)
			}
			if err != nil {
				return errs.Newf(errs.Unavailable, "reading objects of %s: %w", g.dir, err)
			}
			if _, err := r.Discard(1); err != nil {
				return errs.Newf(errs.Unavailable, "reading objects of %s: %w", g.dir, err)
			}
			if kind != "blob" {
				continue
			}
			if err := f(b, size); err != nil {
				return err
			}
		}
	})
}

// header reads "ID KIND SIZE".
func header(r *bufio.Reader) (id, kind string, size int64, err error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", "", 0, err
	}
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return "", "", 0, errs.New(errs.Invalid, "reading objects: git answers with something else than an object")
	}
	size, err = strconv.ParseInt(fields[2], 10, 64)
	if err != nil || size < 0 {
		return "", "", 0, errs.New(errs.Invalid, "reading objects: git names no size of one")
	}
	return fields[0], fields[1], size, nil
}

// reachable counts the file versions that a branch, tag or other reference has.
func (g *git) reachable(ctx context.Context) (int, error) {
	n := 0
	c := g.command(ctx, "rev-list", "--all", "--objects", "--no-object-names", "--filter=object:type=blob", "--filter-provided-objects")
	err := g.lines(c, func([]byte) { n++ })
	return n, err
}

// lines calls f with each line of what a command prints.
func (g *git) lines(c *exec.Cmd, f func([]byte)) error {
	return g.stream(c, func(r *bufio.Reader) error { return split(r, '\n', f) })
}

func split(r *bufio.Reader, by byte, f func([]byte)) error {
	for {
		line, err := r.ReadBytes(by)
		if len(line) > 0 {
			f(bytes.TrimSuffix(line, []byte{by}))
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// where is the place of a file version.
type where struct {
	commit, file         string
	present, unreachable bool
}

// places finds out where the file versions of leaks are: in the commit that is
// checked out, in a commit that a reference reaches (the first one), in one that none
// does, or in none at all.
func (g *git) places(ctx context.Context, leaks map[string][]find) (map[string]where, error) {
	out := map[string]where{}
	if len(leaks) == 0 {
		return out, nil
	}
	wanted := func(id string) bool { _, ok := leaks[id]; return ok }
	// --reverse: the oldest first.
	if err := g.history(ctx, &walk{wanted: wanted, out: out}, "--all"); err != nil {
		return nil, err
	}
	rest := func(id string) bool { return wanted(id) && out[id].file == "" }
	lost, err := g.lost(ctx)
	if err != nil {
		return nil, err
	}
	if len(lost) > 0 {
		if err := g.history(ctx, &walk{wanted: rest, out: out, lost: lost}, "--stdin", "--not", "--all"); err != nil {
			return nil, err
		}
	}
	files, err := g.tree(ctx, "blob")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if wanted(f.id) {
			at := out[f.id]
			at.file, at.present, at.unreachable = f.path, true, false
			out[f.id] = at
		}
	}
	for id := range leaks {
		if out[id].file == "" {
			out[id] = where{file: "object " + id[:12], unreachable: true}
		}
	}
	return out, nil
}

// walk is a way through commits: which file versions are wanted, where their
// places go, and the commits that nothing reaches, if it is through those.
type walk struct {
	wanted func(id string) bool
	out    map[string]where
	lost   []byte
}

// history goes through commits, the oldest first, and notes the first that has each
// wanted file version.
func (g *git) history(ctx context.Context, w *walk, revisions ...string) error {
	args := append([]string{"log", "--reverse", "--raw", "-z", "--root", "-m", "--no-renames", "--no-abbrev", "--diff-filter=AMT", "--no-show-signature", "--no-notes", "--no-ext-diff", "--no-textconv", "--format=tformat:%x01%H"}, revisions...)
	c := g.command(ctx, args...)
	if w.lost != nil {
		c.Stdin = bytes.NewReader(w.lost)
	}
	commit, id := "", ""
	return g.stream(c, func(r *bufio.Reader) error {
		return split(r, 0, func(field []byte) {
			text := strings.TrimLeft(string(field), "\n")
			switch {
			case strings.HasPrefix(text, "\x01"):
				commit, id = strings.TrimSpace(text[1:]), ""
			case strings.HasPrefix(text, ":"):
				// ":100644 100644 OLD NEW M", and the path follows.
				if f := strings.Fields(text); len(f) == 5 {
					id = f[3]
				}
			case id != "":
				if _, known := w.out[id]; !known && w.wanted(id) {
					w.out[id] = where{commit: commit, file: strings.ToValidUTF8(text, "?"), unreachable: w.lost != nil}
				}
				id = ""
			}
		})
	})
}

// lost are the commits that nothing reaches, a line each.
func (g *git) lost(ctx context.Context) ([]byte, error) {
	reached := map[string]bool{}
	if err := g.lines(g.command(ctx, "rev-list", "--all"), func(line []byte) { reached[string(line)] = true }); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	c := g.command(ctx, "cat-file", "--batch-all-objects", "--unordered", "--buffer", "--batch-check=%(objecttype) %(objectname)")
	err := g.lines(c, func(line []byte) {
		if id, ok := strings.CutPrefix(string(line), "commit "); ok && !reached[id] {
			fmt.Fprintln(&out, id)
		}
	})
	return out.Bytes(), err
}

// file is one of the commit that is checked out.
type file struct{ id, path string }

// tree has the entries of a kind in the commit that is checked out: "blob" for files, "commit"
// for submodules; none before the first commit.
func (g *git) tree(ctx context.Context, kind string) ([]file, error) {
	if head, err := g.output(ctx, "rev-list", "--max-count=1", "--all", "HEAD", "--"); err != nil || head == "" {
		return nil, nil //nolint:nilerr // HEAD names nothing yet
	}
	var out []file
	err := g.stream(g.command(ctx, "ls-tree", "-r", "-z", "--full-tree", "HEAD"), func(r *bufio.Reader) error {
		return split(r, 0, func(entry []byte) {
			// "100644 blob ID\tPATH", "160000 commit ID\tPATH"
			head, path, ok := strings.Cut(string(entry), "\t")
			if f := strings.Fields(head); ok && len(f) == 3 && f[1] == kind {
				out = append(out, file{f[2], strings.ToValidUTF8(path, "?")})
			}
		})
	})
	return out, err
}

// read calls f with the content of files that are not too large.
func (g *git) read(ctx context.Context, files []file, f func(path string, text []byte)) error {
	if len(files) == 0 {
		return nil
	}
	var ids bytes.Buffer
	for _, one := range files {
		fmt.Fprintln(&ids, one.id)
	}
	c := g.command(ctx, "cat-file", "--batch", "--buffer")
	c.Stdin = &ids
	return g.stream(c, func(r *bufio.Reader) error {
		for _, one := range files {
			_, _, size, err := header(r)
			if err != nil {
				return err
			}
			var text []byte
			if size <= largest {
				text, err = io.ReadAll(io.LimitReader(r, size))
			} else {
				_, err = io.CopyN(io.Discard, r, size)
			}
			if err != nil {
				return errs.Newf(errs.Unavailable, "reading %s: %w", one.path, err)
			}
			if _, err := r.Discard(1); err != nil {
				return errs.Newf(errs.Unavailable, "reading %s: %w", one.path, err)
			}
			if size <= largest {
				f(one.path, text)
			}
		}
		return nil
	})
}
