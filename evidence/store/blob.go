package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"

	"probity/evidence"
)

// kept is a blob in the database.
type kept struct {
	id        int64
	projected bool // as a certificate
}

// maxKept bounds the certificates whose blobs are remembered from one batch to
// the next: those of CAs come again and again.
const maxKept = 8192

// digestsAtOnce is how many blobs one query looks for.
const digestsAtOnce = 32

// remember keeps where certificates are.
func (s *Store) remember(blobs map[evidence.Digest]kept) {
	if len(s.blobs)+len(blobs) > maxKept {
		clear(s.blobs)
	}
	for sum, at := range blobs {
		if at.projected {
			s.blobs[sum] = at
		}
	}
}

// lookUp returns the digests of all that observations hold, in the order in which
// [batch.insertObservation] takes them, and finds those that are in the database.
func (b *batch) lookUp(obs []evidence.Observation) ([]evidence.Digest, error) {
	var sums, unknown []evidence.Digest
	asked := make(map[evidence.Digest]bool)
	take := func(data []byte) {
		sum := evidence.DigestOf(data)
		sums = append(sums, sum)
		if _, known := b.blobs[sum]; known || asked[sum] {
			return
		}
		if at, known := b.s.blobs[sum]; known {
			b.blobs[sum] = at
			return
		}
		asked[sum] = true
		unknown = append(unknown, sum)
	}
	for _, o := range obs {
		for _, r := range o.Raw {
			take(r.Data)
		}
		for _, c := range o.Certs {
			take(c.DER)
		}
		for _, k := range o.Keys {
			take(k.Blob)
		}
	}
	if len(unknown) == 0 {
		return sums, nil
	}
	return sums, b.conn.Raw(func(driverConn any) error {
		conn, ok := driverConn.(driver.ConnPrepareContext)
		if !ok {
			return fmt.Errorf("the driver's connection is a %T", driverConn)
		}
		for len(unknown) > 0 {
			n := min(len(unknown), digestsAtOnce)
			if err := b.find(conn, unknown[:n]); err != nil {
				return fmt.Errorf("look for blobs: %w", err)
			}
			unknown = unknown[n:]
		}
		return nil
	})
}

// find asks the database for blobs, at most [digestsAtOnce].
func (b *batch) find(conn driver.ConnPrepareContext, sums []evidence.Digest) (err error) {
	if b.s.search == nil {
		b.s.search, err = prepareRaw(conn, `SELECT id, sha256, EXISTS(SELECT 1 FROM proj_certificate WHERE blob=id) FROM blob
			WHERE sha256 IN (?`+strings.Repeat(",?", digestsAtOnce-1)+")")
		if err != nil {
			return err
		}
	}
	args := make([]driver.NamedValue, digestsAtOnce)
	for i := range args {
		args[i] = driver.NamedValue{Ordinal: i + 1}
		if i < len(sums) {
			args[i].Value = sums[i][:]
		}
	}
	rows, err := b.s.search.QueryContext(context.Background(), args)
	if err != nil {
		return err
	}
	row := make([]driver.Value, 3)
	for err = rows.Next(row); err == nil; err = rows.Next(row) {
		id, _ := row[0].(int64)
		sum, _ := row[1].([]byte)
		b.blobs[toDigest(sum)] = kept{id, row[2] == int64(1)}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, rows.Close())
}

// insertBlob keeps data once, by its digest, which was looked up.
func (b *batch) insertBlob(sum evidence.Digest, data []byte) int64 {
	at, known := b.blobs[sum]
	if !known {
		if data == nil {
			data = []byte{} // a nil slice would be NULL
		}
		at.id = b.insert(kindBlob, sum[:], int64(len(data)), data)
		b.blobs[sum] = at
	}
	return at.id
}

// insertCertificate keeps a certificate and, once, its projection.
func (b *batch) insertCertificate(sum evidence.Digest, der []byte) int64 {
	id := b.insertBlob(sum, der)
	if b.err == nil && !b.blobs[sum].projected {
		b.projectCertificate(id, der)
		b.blobs[sum] = kept{id, true}
	}
	return id
}
