package rescue

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	bolt "go.etcd.io/bbolt"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Copy writes the encrypted values of some findings to a file of its owner's, which must
// be there yet, as stored.Snapshot reads it: with the key that is gone now it is a backup
// to restore from, by Find with Config.Readable. It has the bucket copyMark.
func Copy(path string, all []Finding) error { return write(path, all, []byte(copyMark)) }

// copyMark is an empty bucket, by which a copy is known: all that is in it was deleted.
const copyMark = "strongkeep-rescue"

func write(path string, all []Finding, marks ...[]byte) error {
	db, err := bolt.Open(path, 0o600, &bolt.Options{OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
		return os.OpenFile(name, flag|os.O_EXCL|os.O_CREATE, mode)
	}})
	switch {
	case errors.Is(err, fs.ErrExist):
		return errs.Newf(errs.Exist, "writing the copy: %s is there already: name another file", path)
	case err != nil:
		return errs.Newf(errs.Invalid, "writing the copy: %w", err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		bucket, err := tx.CreateBucket([]byte("key"))
		for i := 0; i < len(all) && err == nil; i++ {
			err = put(bucket, &all[i], uint64(i))
		}
		for i := 0; i < len(marks) && err == nil; i++ {
			_, err = tx.CreateBucket(marks[i])
		}
		return err
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return errs.Newf(errs.Unavailable, "writing the copy: %w", errors.Join(err, os.Remove(path)))
	}
	return nil
}

// put writes one value under the revision that wrote it: see stored.Snapshot. Two
// values of one revision differ in their places within it.
func put(bucket *bolt.Bucket, f *Finding, place uint64) error {
	key := append(binary.BigEndian.AppendUint64(nil, uint64(f.Revision)), '_')
	raw, err := proto.Marshal(&mvccpb.KeyValue{Key: f.key, Value: f.content, ModRevision: f.Revision})
	if err != nil {
		return err
	}
	return bucket.Put(binary.BigEndian.AppendUint64(key, place), raw)
}
