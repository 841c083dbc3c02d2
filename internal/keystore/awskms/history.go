package awskms

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/strongkeep/strongkeep/internal/cloud/aws/wire"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
)

// History implements keystore.Versioned. A key that is disabled or to be deleted is no
// version: it does not decrypt. A version is as old as its alias.
func (k *Key) History(ctx context.Context) (keystore.History, error) {
	if k.settings.Alias == "" {
		v, account, err := k.describe(ctx, version{}, k.settings.Key)
		if err != nil {
			return keystore.History{}, err
		}
		return keystore.History{Lineage: account + "/" + k.KeyID(), Versions: []keystore.Version{v}}, nil
	}
	found, err := k.aliases(ctx)
	if err != nil {
		return keystore.History{}, err
	}
	var h keystore.History
	var closed error
	for _, a := range found {
		v, account, err := k.describe(ctx, a.version, a.id)
		if errs.Is(err, errs.Denied) && !refused(err) || errs.Is(err, errs.NotExist) {
			closed = err
			continue
		}
		if err != nil {
			return keystore.History{}, err
		}
		v.Since = a.made
		h.Lineage = account + "/" + k.KeyID()
		h.Versions = append(h.Versions, v)
	}
	if len(h.Versions) == 0 {
		return h, closed
	}
	return h, nil
}

// refused reports whether AWS, and not the state of a key, is why.
func refused(err error) bool { return wire.Code(err) != "" }

// describe asks whether a key can be used. Kind Denied, and no answer of AWS, if it is
// disabled.
func (k *Key) describe(ctx context.Context, v version, name string) (keystore.Version, string, error) {
	doing := "looking at key " + name
	out, err := do(ctx, k, doing, func(ctx context.Context) (*kms.DescribeKeyOutput, error) {
		return k.client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &name})
	})
	if err != nil {
		return keystore.Version{}, "", err
	}
	is := out.KeyMetadata
	if is == nil || is.KeyId == nil || is.AWSAccountId == nil || !keyIDs.MatchString(*is.KeyId) {
		return keystore.Version{}, "", wire.NoAnswer(doing)
	}
	v.id = *is.KeyId
	made := keystore.Version{ID: v.String(), Wraps: true}
	if is.CreationDate != nil {
		made.Made = is.CreationDate.Truncate(time.Second).UTC()
	}
	if k.settings.id != "" && v.id != k.settings.id {
		return made, "", errs.Newf(errs.Conflict, "%s: AWS KMS tells of another one, %s", doing, v.id)
	}
	if is.KeySpec != types.KeySpecSymmetricDefault || is.KeyUsage != types.KeyUsageTypeEncryptDecrypt {
		return made, "", errs.Newf(errs.Unsupported, "%s: it is of type %s for %s: use a symmetric one for encryption", doing, is.KeySpec, is.KeyUsage)
	}
	return made, *is.AWSAccountId, usable(doing, is.KeyState)
}

// usable says of a key that is not what to do about it.
func usable(doing string, state types.KeyState) error {
	switch state {
	case types.KeyStateEnabled, types.KeyStateUpdating:
		return nil
	case types.KeyStateDisabled:
		return errs.Newf(errs.Denied, "%s: it is disabled: enable it (aws kms enable-key)", doing)
	case types.KeyStatePendingDeletion, types.KeyStatePendingReplicaDeletion:
		return errs.Newf(errs.Denied, "%s: it is to be deleted soon: cancel that (aws kms cancel-key-deletion) and enable it (aws kms enable-key)", doing)
	case types.KeyStatePendingImport:
		return errs.Newf(errs.Denied, "%s: its material has expired or was deleted: import it again (aws kms import-key-material)", doing)
	}
	return errs.Newf(errs.Unavailable, "%s: it is in state %s", doing, state)
}

// alias is one of those that make the versions.
type alias struct {
	version
	made time.Time
}

// aliases lists those that make the versions, by their numbers.
func (k *Key) aliases(ctx context.Context) ([]alias, error) {
	doing := "listing the aliases " + k.settings.Alias + "/* in " + k.settings.Region
	var found []alias
	var pages wire.Pages
	in := &kms.ListAliasesInput{}
	for {
		out, err := do(ctx, k, doing, func(ctx context.Context) (*kms.ListAliasesOutput, error) { return k.client.ListAliases(ctx, in) })
		if err != nil {
			return nil, err
		}
		for _, entry := range out.Aliases {
			if a, ok := k.ours(entry); ok {
				found = append(found, a)
			}
		}
		if in.Marker, err = pages.Next(out.NextMarker); err != nil {
			return nil, err
		}
		if in.Marker == nil {
			break
		}
	}
	if len(found) == 0 {
		return nil, errs.Newf(errs.NotExist, "%s: there is none: make a key (aws kms create-key) and its alias %s (aws kms create-alias)", doing, k.alias(1))
	}
	slices.SortFunc(found, func(a, b alias) int { return cmp.Compare(a.number, b.number) })
	return found, nil
}

// ours reads an alias, if it is one of a version. One that was pointed at another key
// is as old as that.
func (k *Key) ours(entry types.AliasListEntry) (alias, bool) {
	if entry.AliasName == nil || entry.TargetKeyId == nil {
		return alias{}, false
	}
	text, ok := strings.CutPrefix(*entry.AliasName, k.settings.Alias+"/")
	n, err := strconv.ParseUint(text, 10, 32)
	a := alias{version: version{number: uint32(n), id: *entry.TargetKeyId}}
	if !ok || err != nil || n == 0 || *entry.AliasName != k.alias(a.number) || !keyIDs.MatchString(a.id) {
		return alias{}, false
	}
	for _, at := range []*time.Time{entry.CreationDate, entry.LastUpdatedDate} {
		if at != nil && at.After(a.made) {
			a.made = at.Truncate(time.Second).UTC()
		}
	}
	return a, true
}
