// Package reports renders what is known: as text tables, as one JSON document, as
// a stream of JSON lines and as one self-contained HTML file.
//
// [Build] makes a [Document] of findings, evidence and catalogue; every format
// shows that document and nothing else. The package reads only what it is given:
// no database, no files, no clock. It judges nothing, and it never says that a
// device satisfies a standard: a scan supports or contradicts, and what it
// cannot show is part of every report. Every text in a Document has passed
// through safetext, so that no format can be made to run or hide anything.
package reports
