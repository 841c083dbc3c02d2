package lease

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/expiry"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// kindToken is the work that the end of a token leaves: the ID is its key.
const kindToken = "token-leases"

// Kinds is the work that belongs to no mount.
func (m *Manager) Kinds() []expiry.Kind {
	return []expiry.Kind{{Name: kindToken, Handle: m.endOfToken}}
}

// parallel is how many leases of one mount are ended at once.
const parallel = 8

// Kind is the work of ending the leases of one mount. Each mount has its own,
// so that a database that does not answer holds up no other.
func (m *Manager) Kind(mountID string) expiry.Kind {
	return expiry.Kind{Name: kindPrefix + mountID, Handle: m.due, Parallel: parallel}
}

// soon is now as a due time: rounding up must not make it a second later.
func (m *Manager) soon() time.Time { return m.now().Truncate(time.Second) }

// queue has rec ended soon. From the commit of tx on nobody finds it.
func (m *Manager) queue(tx expiry.Writer, rec *Record) {
	next := *rec
	next.Ending, next.Due = true, m.soon()
	rec.replace(tx, &next)
}

// intend has rec ended by the caller, and by the expirer where that has not come of it when a call
// of an engine is over. From the commit of tx on nobody finds it.
func (m *Manager) intend(tx expiry.Writer, rec *Record) {
	next := *rec
	next.Ending, next.Due = true, m.now().Add(m.cfg.Timeout)
	rec.replace(tx, &next)
}

// Revoke has the lease ended soon, in the request's transaction; after the
// commit nobody finds it, and Wake may be called. To revoke what is not there
// is no error.
func (m *Manager) Revoke(ctx context.Context, tx Tx, ns engine.Namespace, id string) error {
	rec, err := find(ctx, tx, ns, id)
	if err != nil || rec == nil {
		return err
	}
	m.queue(tx, rec)
	m.cfg.Wake(kindPrefix + rec.MountID)
	return nil
}

// TokenGone has the leases of a token ended, in the transaction that removes it.
// It asks for a key that every lease writes, and not what the folder holds: a
// lease that is committed meanwhile must make tx conflict, or nobody ends it.
func (m *Manager) TokenGone(ctx context.Context, tx Tx, tokenKey string) error {
	held, err := tx.Get(ctx, holderPrefix+tokenKey)
	if err != nil || !held.Exists() {
		return err
	}
	tx.Delete(holderPrefix + tokenKey)
	expiry.Add(tx, expiry.Ref{Kind: kindToken, ID: tokenKey, Due: m.soon()})
	return nil
}

// tokenBatch is how many leases one commit queues; each is four changes.
const tokenBatch = 64

// endOfToken queues some leases of a token that is gone, and asks to be called
// again while there are more.
func (m *Manager) endOfToken(ctx context.Context, tx *store.Txn, ref expiry.Ref) (time.Time, error) {
	folder := tokenPrefix + ref.ID + "/"
	names, err := tx.List(ctx, folder, "", tokenBatch)
	if err != nil {
		return time.Time{}, err
	}
	for _, name := range names {
		rec, err := load(ctx, tx, name)
		if err != nil {
			return time.Time{}, err
		}
		tx.Delete(folder + name)
		if rec != nil && !rec.Ending {
			m.queue(tx, rec)
		}
	}
	if len(names) == tokenBatch {
		return ref.Due, nil
	}
	return time.Time{}, nil
}

// due ends a lease whose time has come. A ref whose lease was renewed, or that
// stands elsewhere by now, is stale.
func (m *Manager) due(ctx context.Context, tx *store.Txn, ref expiry.Ref) (time.Time, error) {
	rec, err := load(ctx, tx, ref.ID)
	if err != nil || rec == nil {
		return time.Time{}, err
	}
	if again, not := m.notYet(tx, rec, ref); not {
		return again, nil
	}
	if until, open := m.breaks.open(rec, m.now()); open {
		next := *rec
		next.Ending, next.Due = true, until.Add(jitter(ref.ID, until.Sub(m.now())))
		rec.replace(tx, &next)
		return next.Due, nil
	}
	if err := m.end(ctx, tx, rec); err == nil {
		return time.Time{}, nil
	} else if ctx.Err() != nil {
		return time.Time{}, err // the vault is being sealed: no attempt was made
	}
	if next, _ := load(ctx, tx, ref.ID); next != nil {
		return next.Due, nil
	}
	return time.Time{}, nil
}

// notYet reports whether a lease is not to be ended by ref now, and when to look again.
func (m *Manager) notYet(tx expiry.Writer, rec *Record, ref expiry.Ref) (again time.Time, not bool) {
	own := rec.ref().Key() == ref.Key()
	switch {
	case !own && (rec.Live(m.now()) || rec.Due.After(ref.Due)):
		return time.Time{}, true // its own ref leads to it
	case rec.Live(m.now()):
		return rec.Due, true // the clock went back
	case m.cfg.Shared && !rec.Ending:
		next := *rec
		next.Ending = true
		rec.replace(tx, &next)
		return next.Due, true // nobody renews it from now on: once more, at once
	}
	return time.Time{}, false
}

// jitter spreads what failed together: up to half of pause, the same for one ID.
func jitter(id string, pause time.Duration) time.Duration {
	var h uint32 = 2166136261
	for i := range len(id) {
		h = (h ^ uint32(id[i])) * 16777619
	}
	return time.Duration(float64(pause) / 2 * float64(h%1024) / 1024)
}

// end has the engine end what the lease stands for, and removes it. If that
// fails, tx holds nothing but the record of the failure, and may be committed.
func (m *Manager) end(ctx context.Context, tx *store.Txn, rec *Record) error {
	owner, ok := m.cfg.Owner(rec.MountID)
	if !ok {
		return m.failed(tx, rec, errs.New(errs.Unavailable, "the mount is not there"))
	}
	call, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	if err := revoke(call, owner, tx, rec); err != nil {
		return m.failed(tx, rec, err)
	}
	m.breaks.worked(rec)
	m.count.revoked.Add(1)
	rec.remove(tx)
	m.cfg.Ended(rec)
	return nil
}

// revoke makes an error of a panic: it must not take the vault down.
func revoke(ctx context.Context, owner Owner, tx *store.Txn, rec *Record) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errs.Newf(errs.Internal, "the engine panicked with a %T", p)
		}
	}()
	return owner.Leaser.RevokeLease(ctx, confine(silent{tx}, owner.Storage), rec.leased(0))
}

// failed notes a failed attempt and returns its cause.
func (m *Manager) failed(tx *store.Txn, rec *Record, cause error) error {
	tx.Undo()
	now, next := m.now(), *rec
	next.Ending, next.Attempts, next.LastError = true, rec.Attempts+1, shown(cause)
	pause := m.cfg.MaxPause
	if rec.Attempts < 30 {
		pause = min(m.cfg.MinPause<<rec.Attempts, m.cfg.MaxPause)
	}
	next.Irrevocable = rec.Irrevocable || next.Attempts >= m.cfg.Attempts
	if next.Irrevocable {
		pause = m.cfg.Retry
	}
	next.Due = now.Add(pause)
	rec.replace(tx, &next)
	m.breaks.failed(rec, now)
	m.count.failed.Add(1)
	log := m.cfg.Log.With("lease_path", strings.TrimSuffix(rec.ID, rec.ID[strings.LastIndexByte(rec.ID, '/')+1:]),
		"role", rec.Role, "attempts", next.Attempts, "next", next.Due, "error", next.LastError)
	switch {
	case next.Irrevocable && !rec.Irrevocable:
		log.Error("a lease is irrevocable: mend its cause and run sys/leases/tidy, or give it up by sys/leases/revoke-force")
	default:
		log.Warn("a lease cannot be ended; will try again")
	}
	return cause
}

// maxShown bounds the text of an error that is kept.
const maxShown = 512

// shown is the text of an engine's error, which names no secret. What is of kind
// Internal is not for clients, and the log has it no better.
func shown(err error) string {
	text := err.Error()
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + "…"
	}
	return text
}

// RevokeNow ends a lease before it returns, outside of any request's
// transaction. If that fails, or the node stops amid it, it stays queued. To revoke what is not there is no
// error; kinds else are those of the engine and of the store.
func (m *Manager) RevokeNow(ctx context.Context, ns engine.Namespace, id string) error {
	rec, err := find(ctx, m.cfg.Store, ns, id)
	if err != nil || rec == nil {
		return err
	}
	return m.endNow(ctx, rec.short())
}

// conflicts bounds how often a lease that others change is tried at once.
const conflicts = 16

// endNow commits that the lease is ending before its engine ends it, so that a node that stops in
// between leaves none that clients take for valid, and somebody ends it.
func (m *Manager) endNow(ctx context.Context, short string) error {
	for range conflicts {
		tx := store.Begin(m.cfg.Store)
		rec, err := load(ctx, tx, short)
		if err != nil || rec == nil {
			return err
		}
		if !rec.Ending {
			m.intend(tx, rec)
			if _, err := tx.Commit(ctx); err != nil && !errs.Is(err, errs.Conflict) {
				return errs.Newf(errs.KindOf(err), "noting that a lease ends: %w", err)
			}
			continue
		}
		cause := m.end(ctx, tx, rec)
		_, err = tx.Commit(context.WithoutCancel(ctx))
		switch {
		case errs.Is(err, errs.Conflict) && ctx.Err() == nil:
			continue
		case errs.Is(err, errs.Conflict):
			return errs.New(errs.Unavailable, "the request's time is over, and others change the lease; it is not valid any more, and stays queued")
		case err != nil:
			return errs.Newf(errs.KindOf(err), "noting the end of a lease: %w", err)
		case cause != nil:
			return errs.Newf(errs.Unavailable, "the lease is not valid any more, but what it stands for cannot be ended yet; it stays queued: %w", cause)
		}
		return nil
	}
	return errs.New(errs.Unavailable, "too many others change the lease; try again")
}

// Confirm is called when what rec stands for was made, after the commit. If the
// lease ended meanwhile, and its engine found nothing to end, it is put back,
// ended again and Unavailable returned: nothing may be left that no lease leads to.
func (m *Manager) Confirm(ctx context.Context, rec *Record) error {
	now, err := load(ctx, m.cfg.Store, rec.short())
	if err == nil && now != nil && now.Live(m.now()) {
		return nil
	}
	return m.Fail(ctx, rec, errs.New(errs.Unavailable, "the lease ended while its secret was made; ask again"))
}

// Fail ends a lease whose secret could not be made, at once if that works and
// otherwise as soon as it does, and returns cause. If that is engine.Unmade there
// is nothing to end: the lease is forgotten.
func (m *Manager) Fail(ctx context.Context, rec *Record, cause error) error {
	ctx = context.WithoutCancel(ctx)
	if engine.IsUnmade(cause) {
		if err := m.forget(ctx, rec.short()); err != nil {
			m.cfg.Log.Error("a lease whose secret was not made is left to its expiry", "mount", rec.MountID, "error", err)
		}
		return cause
	}
	if err := m.putBack(ctx, rec); err != nil {
		m.cfg.Log.Error("what a lease stands for may be left: the lease could not be put back to be ended", "mount", rec.MountID, "role", rec.Role, "error", err)
		return cause
	}
	if err := m.endNow(ctx, rec.short()); err != nil {
		m.cfg.Log.Warn("ending a lease whose secret could not be made; will try again", "role", rec.Role, "error", shown(err))
	}
	return cause
}

// How long a node tries that alone knows of something no lease leads to, and how long it waits between tries.
const (
	putBackFor   = 15 * time.Second
	putBackPause = 200 * time.Millisecond
)

// putBack commits that a lease is to be ended, also if it is there no more. While the store fails, or others
// change the lease, it tries again.
func (m *Manager) putBack(ctx context.Context, rec *Record) error {
	for until := time.Now().Add(putBackFor); ; {
		err := m.putBackOnce(ctx, rec)
		if err == nil || time.Now().After(until) {
			return err
		}
		<-time.After(putBackPause)
	}
}

func (m *Manager) putBackOnce(ctx context.Context, rec *Record) error {
	tx := store.Begin(m.cfg.Store)
	now, err := load(ctx, tx, rec.short())
	if err != nil {
		return err
	}
	again := *rec
	again.Ending, again.Due = true, m.soon()
	if now == nil {
		again.add(tx)
	} else {
		// Written even if it is there and ending: an attempt under way that
		// found nothing must conflict.
		m.queue(tx, now)
	}
	_, err = tx.Commit(ctx)
	return err
}

// forget removes a lease that stands for nothing.
func (m *Manager) forget(ctx context.Context, short string) error {
	for range conflicts {
		tx := store.Begin(m.cfg.Store)
		rec, err := load(ctx, tx, short)
		if err != nil || rec == nil {
			return err
		}
		rec.remove(tx)
		if _, err = tx.Commit(ctx); !errs.Is(err, errs.Conflict) {
			if err == nil {
				m.cfg.Ended(rec)
			}
			return err
		}
	}
	return errs.New(errs.Unavailable, "too many others change the lease")
}

// breakers keep leases from waiting for a database that just failed another
// lease of the same mount and role: without them ten thousand that are due at
// once would each wait for its own timeout.
type breakers struct {
	mu     sync.Mutex
	broken map[string]breaker // by mount ID and role
}

type breaker struct {
	failures int // without a success in between
	pause    time.Duration
	until    time.Time
}

const (
	maxFailures = 3 // until it opens

	minBreak  = 5 * time.Second
	maxBreak  = 5 * time.Minute
	maxBroken = 10_000 // entries, after which all are forgotten
)

func (r *Record) circuit() string { return r.MountID + "\x00" + r.Role }

// open reports until when no attempt is made.
func (b *breakers) open(rec *Record, now time.Time) (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.broken[rec.circuit()]
	return one.until, now.Before(one.until)
}

func (b *breakers) failed(rec *Record, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken == nil || len(b.broken) >= maxBroken {
		b.broken = map[string]breaker{}
	}
	one := b.broken[rec.circuit()]
	if now.Before(one.until) {
		return // others that were under way
	}
	if one.failures++; one.failures >= maxFailures {
		one.pause = min(max(2*one.pause, minBreak), maxBreak)
		one.until = now.Add(one.pause)
	}
	b.broken[rec.circuit()] = one
}

func (b *breakers) worked(rec *Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.broken, rec.circuit())
}

func (b *breakers) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = nil
}

// silent is a transaction of background work, which announces nothing.
type silent struct{ *store.Txn }

func (silent) Emit(engine.Event) {}

func confine(tx engine.Tx, prefix string) engine.Tx { return mount.Confine(tx, prefix) }
