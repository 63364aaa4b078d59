// Package fingerprint says what values seen on the wire tell about the device
// that sent them. The knowledge is data: YAML files in data/, one a manufacturer
// or protocol family, whose entries match a field by exact value, prefix, prefix
// of an object identifier or RE2 pattern, and claim attributes with a confidence
// and a source; and tables of object identifiers, enterprise numbers and hardware
// addresses that data/*.tsv hold with a source in every row.
//
// Every entry carries examples that are its tests. Loading is strict: a mistake
// is an error with file, line and mend. The package sees values one by one; which
// claims together identify a device is decided by package identify. It does no
// I/O, and a [Set] is immutable and gives the same claims for the same value,
// in the same order.
package fingerprint

//go:generate go run ./gen -data ../../../../shared/data
