-- What version 3 added. A rule gives few answers to many subjects, so both are
-- kept once: what was judged, and each answer with the subjects it was given for.
-- finding and finding_evidence hold what earlier versions wrote; the views show
-- both as one row a finding.

CREATE TABLE subject(
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL REFERENCES run(id),
  address TEXT,
  port INTEGER CHECK(port BETWEEN 0 AND 65535),
  transport TEXT,
  server_name TEXT,
  certificate BLOB CHECK(length(certificate)=32),
  duplicate TEXT CHECK(json_valid(duplicate)),
  asset TEXT NOT NULL,
  observations TEXT NOT NULL CHECK(json_valid(observations))) STRICT;

-- subjects is a JSON array of rows of subject. The finding on the nth of them,
-- counted from 0, has the number first_finding+n and the key in the 32 bytes of keys from
-- 32*n.
CREATE TABLE verdict(
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL REFERENCES run(id),
  rule INTEGER NOT NULL REFERENCES rule(id),
  severity TEXT NOT NULL CHECK(severity IN('info','low','medium','high','critical')),
  outcome TEXT NOT NULL CHECK(outcome IN('pass','fail','warn','not-applicable','inconclusive')),
  title TEXT NOT NULL,
  detail TEXT NOT NULL,
  first_finding INTEGER NOT NULL UNIQUE CHECK(first_finding>0),
  findings INTEGER NOT NULL CHECK(findings>0),
  subjects TEXT NOT NULL CHECK(json_valid(subjects)),
  keys BLOB NOT NULL) STRICT;

CREATE INDEX subject_run ON subject(run);
CREATE INDEX verdict_run ON verdict(run);
CREATE INDEX verdict_rule ON verdict(rule);
