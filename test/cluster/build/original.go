package build

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// original is the operator that ours takes over from: its newest release that is one
// module. Those behind it cannot be had from the module proxy, which lacks the modules
// that they are made of.
//
// Most of what it is built of are the clients of forty stores and of what generators
// ask. Only those are built in that tests use: its own lists of them are replaced,
// and nothing else.
func original() group {
	const module = "github.com/external-secrets/external-secrets"
	list := func(folder string, names ...string) string {
		text := "package register\n"
		for _, name := range names {
			text += fmt.Sprintf("\nimport _ %q\n", module+"/pkg/"+folder+"/"+name)
		}
		return text
	}
	return group{
		name: "external-secrets", module: module,
		env:      []string{"CGO_ENABLED=0"},
		programs: [][2]string{{"external-secrets", "."}},
		files: map[string]string{
			"pkg/provider/register/register.go":  list("provider", "fake", "kubernetes", "vault"),
			"pkg/generator/register/register.go": list("generator", "fake", "password", "sshkey", "uuid"),
		},
	}
}

// Source returns the folder of the source of a scope's last group, fetched if need be,
// for what a module has beside its programs. It is not to be written to.
func Source(ctx context.Context, scope Scope) (string, error) {
	dir, err := sourceDir()
	if err != nil {
		return "", err
	}
	g := groups(scope)
	last := g[len(g)-1]
	return last.fetch(ctx, filepath.Join(dir, last.name))
}

// fetch returns the folder of the source of the group's module, pinned by the go.mod
// and go.sum in dir.
func (g group) fetch(ctx context.Context, dir string) (string, error) {
	version, err := g.version(dir)
	if err != nil {
		return "", err
	}
	out, err := goOutput(ctx, dir, nil, "mod", "download", "-json", g.module+"@"+version)
	if err != nil {
		return "", fmt.Errorf("fetching the source of %s: %w", g.name, err)
	}
	var at struct{ Dir string }
	if err := json.Unmarshal(out, &at); err != nil {
		return "", fmt.Errorf("finding the source of %s in the answer of go: %w", g.name, err)
	}
	return at.Dir, nil
}

// edited copies the source of the group's module to dir, with the group's own files
// in place of those it has.
func (b builder) edited(ctx context.Context, dir string) error {
	from, err := b.group.fetch(ctx, b.source)
	if err != nil {
		return err
	}
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		return fmt.Errorf("copying the source of %s: %w", b.group.name, err)
	}
	for name, text := range b.group.files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("replacing a file of %s: %w", b.group.name, err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return fmt.Errorf("replacing a file of %s: %w", b.group.name, err)
		}
	}
	return nil
}
