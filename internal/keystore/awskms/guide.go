package awskms

import (
	"errors"
	"fmt"

	"github.com/strongkeep/strongkeep/internal/keystore"
)

// Next implements keystore.Guide: another key, and its alias.
func (k *Key) Next(h keystore.History) []string {
	if k.settings.Alias == "" {
		return []string{"name alias in the configuration instead of key: a key that is named itself has one version"}
	}
	newest := uint32(0)
	for _, v := range h.Versions {
		if v, err := parseVersion(v.ID); err == nil {
			newest = max(newest, v.number)
		}
	}
	return []string{
		fmt.Sprintf("aws kms create-key --region=%s --query=KeyMetadata.KeyId --output=text", k.settings.Region),
		fmt.Sprintf("aws kms create-alias --region=%s --alias-name=%s --target-key-id=KEY-ID", k.settings.Region, k.alias(newest+1)),
	}
}

// Retire implements keystore.Guide. Several aliases may be of one key.
func (k *Key) Retire(old []string, stays string) [][]string {
	all := make([][]string, len(old))
	kept, unknown := parseVersion(stays)
	for i, id := range old {
		v, err := parseVersion(id)
		switch {
		case err != nil || unknown != nil:
			all[i] = []string{errors.Join(err, unknown).Error()}
		case v.id == kept.id:
			all[i] = []string{fmt.Sprintf("nothing: its alias is of the same key as that of version %s, which is in use", stays)}
		default:
			all[i] = []string{fmt.Sprintf("aws kms disable-key --region=%s --key-id=%s", k.settings.Region, v.id)}
		}
	}
	return all
}
