package session

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"
)

// Env is the world a command runs in; tests make their own.
type Env struct {
	// Program is the file that runs, without its folder: "kubectl-strongkeep" where
	// kubectl runs it. "" is strongkeep.
	Program string
	Context context.Context // nil = ends at SIGINT or SIGTERM
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Getenv  func(string) string
	Home    string // where .vault-token lies; "" = tokens are not kept
	// ReadPassword prompts on a terminal without echo; nil where there is none.
	ReadPassword func(prompt string) ([]byte, error)
	// ReadLine prompts on a terminal; nil where there is none.
	ReadLine func(prompt string) (string, error)
}

// Log is for commands that do with a store what a server does: it says what is wrong, and
// nothing of how they get on.
func (e Env) Log() *slog.Logger {
	return slog.New(slog.NewTextHandler(e.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// System is the process's own environment.
func System() Env {
	home, _ := os.UserHomeDir()
	e := Env{Program: filepath.Base(os.Args[0]), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Home: home}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		e.ReadPassword = func(prompt string) ([]byte, error) {
			if _, err := io.WriteString(os.Stderr, prompt); err != nil {
				return nil, err
			}
			b, err := term.ReadPassword(int(os.Stdin.Fd()))
			_, _ = io.WriteString(os.Stderr, "\n")
			return b, err
		}
		e.ReadLine = func(prompt string) (string, error) {
			if _, err := io.WriteString(os.Stderr, prompt); err != nil {
				return "", err
			}
			line, err := bufio.NewReader(os.Stdin).ReadString('\n')
			return strings.TrimSpace(line), err
		}
	}
	return e
}

// Lookup returns STRONGKEEP_name, else VAULT_name.
func (e Env) Lookup(name string) string {
	if v := e.Getenv("STRONGKEEP_" + name); v != "" {
		return v
	}
	return e.Getenv("VAULT_" + name)
}

// Normalize accepts Vault's style of long flags with one dash (-format=json):
// pflag would read them as a Row of short ones, of which there are few.
func Normalize(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		if a == "--" {
			copy(out[i:], args[i:])
			break
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(a, "-"), "=")
		if strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "--") && len(name) > 1 && isLetters(name) {
			a = "-" + a
		}
		out[i] = a
	}
	return out
}

func isLetters(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && r != '-' && r != '_' {
			return false
		}
	}
	return true
}
