package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// Rotated is what came of a rotation.
type Rotated struct {
	Turn     int64
	Took     time.Duration
	Old, New string // users
	Queries  int64  // while it lasted and shortly after
	Failed   int64  // of all queries there ever were
	Pods     int    // there ever were
	Table    []string
	// Statement is where the vault keeps what was signed.
	Statement string
}

// Rotate asks for a turn under load and returns when it is done. It is an error
// if a query failed, if a pod has no evidence, or if the old user is not gone.
func (s *Shop) Rotate(ctx context.Context) (Rotated, error) {
	oldUser, oldPassword, err := s.published(ctx)
	if err != nil {
		return Rotated{}, err
	}
	before, began := s.collector.Totals(""), time.Now()
	status, err := s.turn(ctx)
	if err != nil {
		return Rotated{}, err
	}
	r := Rotated{Turn: status.Turn, Took: time.Since(began), Old: oldUser, Statement: status.Statement}
	if r.Table, err = s.evidence(ctx); err != nil {
		return r, err
	}
	after, err := s.queried(ctx, 100) // on the new credential alone
	if err != nil {
		return r, err
	}
	r.Queries, r.Failed, r.Pods = after.Queries-before.Queries, after.Failures, after.Pods
	if r.New, _, err = s.published(ctx); err != nil {
		return r, err
	}
	if r.Failed > 0 {
		return r, fmt.Errorf("queries failed: %v", after)
	}
	if err := judge(status); err != nil {
		return r, err
	}
	if err := s.gone(ctx, r.Old, r.New, oldPassword); err != nil {
		return r, err
	}
	return r, s.verify(ctx)
}

// judge checks that every pod is proven.
func judge(s v1alpha1.RotationStatus) error {
	if s.Proof.Pods == 0 || s.Proof.PodsProven != s.Proof.Pods || len(s.Proof.Evidence) != int(s.Proof.Pods) {
		return fmt.Errorf("%d of %d pods are proven, by %d entries of evidence", s.Proof.PodsProven, s.Proof.Pods, len(s.Proof.Evidence))
	}
	for _, e := range s.Proof.Evidence {
		if !e.Proven || len(e.Has) == 0 {
			return fmt.Errorf("there is no proof of pod %s: %s", e.Pod, e.Missing)
		}
	}
	if s.Statement == "" {
		return errors.New("there is no signed statement")
	}
	return nil
}

// gone checks that the database has the new user alone, and that the old
// credential does not log in.
func (s *Shop) gone(ctx context.Context, was, is, password string) error {
	users, err := s.query(ctx, "SELECT rolname FROM pg_roles WHERE rolname LIKE 'shop\\_%' ORDER BY 1")
	if err != nil {
		return err
	}
	if was == is || !slices.Equal(users, []string{is}) {
		return fmt.Errorf("the database has the users %v; %s was rotated to %s", users, was, is)
	}
	conf, err := pgx.ParseConfig("postgres://" + s.db.Address + "/postgres?sslmode=disable")
	if err != nil {
		return fmt.Errorf("reaching the database: %w", err)
	}
	conf.User, conf.Password = was, password
	conn, err := pgx.ConnectConfig(ctx, conf)
	if err == nil {
		return errors.Join(fmt.Errorf("%s still logs in", was), conn.Close(ctx))
	}
	return nil
}

// turn asks for one as a person would, and follows it to its end.
func (s *Shop) turn(ctx context.Context) (v1alpha1.RotationStatus, error) {
	var r v1alpha1.RotationStatus
	if _, err := s.command(ctx, "start", "-wait"); err != nil {
		return r, err
	}
	err := until(ctx, "the signed statement", func() error {
		out, err := s.command(ctx, "status", "-o=json")
		if err != nil {
			return err
		}
		r = v1alpha1.RotationStatus{}
		if err := json.Unmarshal(out, &r); err != nil {
			return fmt.Errorf("reading the status of the Rotation: %w", err)
		}
		if !strings.HasSuffix(r.Statement, fmt.Sprintf("/%d", r.Turn)) {
			return fmt.Errorf("there is none of turn %d yet", r.Turn)
		}
		return nil
	})
	return r, err
}

// command runs `strongkeep rotation` for the shop's Rotation.
func (s *Shop) command(ctx context.Context, name string, args ...string) ([]byte, error) {
	return s.Server.CLI(ctx, "", append([]string{"rotation", name, "-kubeconfig=" + s.Kubeconfig, "-n", Namespace, "db"}, args...)...)
}

// evidence is the table of `strongkeep rotation status`.
func (s *Shop) evidence(ctx context.Context) ([]string, error) {
	out, err := s.command(ctx, "status")
	if err != nil {
		return nil, err
	}
	table := tableOf(string(out))
	if len(table) == 0 {
		return nil, errors.New("strongkeep rotation status shows no evidence")
	}
	return table, nil
}

// tableOf is the part of a text that begins with the head of the table of
// evidence and ends with it.
func tableOf(text string) []string {
	_, rest, found := strings.Cut("\n"+text, "\nPROVEN ")
	if !found {
		return nil
	}
	table, _, _ := strings.Cut("PROVEN "+rest, "\n\n")
	var lines []string
	for line := range strings.Lines(table) {
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	return lines
}

// verify has the signed statements of all turns saved, and verified with the
// public key alone.
func (s *Shop) verify(ctx context.Context) error {
	key, err := s.Server.CLI(ctx, "", "read", "-field=public_keys", "evidence/keys")
	if err != nil {
		return err
	}
	keyFile, saved := filepath.Join(s.Dir, "evidence.pem"), filepath.Join(s.Dir, "statements.json")
	if err := os.WriteFile(keyFile, key, 0o600); err != nil {
		return fmt.Errorf("keeping the public key: %w", err)
	}
	if _, err := s.command(ctx, "evidence", "-save="+saved); err != nil {
		return err
	}
	_, err = s.Server.CLI(ctx, "", "rotation", "verify", saved, "-key="+keyFile)
	return err
}
