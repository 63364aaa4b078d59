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

-- Projections from which a later resolution of assets goes on. Like those of
-- schema.sql they can be deleted and are written again.

-- Who made the projections of assets, from what, and how large they are. leaf is
-- that of the log's last entry then.
CREATE TABLE proj_identity(
  id INTEGER PRIMARY KEY,
  maker TEXT NOT NULL,
  observation INTEGER NOT NULL,
  fact INTEGER NOT NULL,
  entries INTEGER NOT NULL,
  leaf BLOB NOT NULL,
  assets INTEGER NOT NULL,
  places INTEGER NOT NULL,
  identifiers INTEGER NOT NULL) STRICT;

-- The sum of the rows of an asset, by which a lost or changed one is noticed.
CREATE TABLE proj_asset_sum(
  asset INTEGER PRIMARY KEY REFERENCES proj_asset(id),
  sum INTEGER NOT NULL) STRICT;

-- Names by which an inventory may mean an asset.
CREATE TABLE proj_asset_name(
  name TEXT NOT NULL,
  asset INTEGER NOT NULL REFERENCES proj_asset(id),
  PRIMARY KEY(name,asset)) STRICT, WITHOUT ROWID;

CREATE TABLE proj_identity_place(
  id INTEGER PRIMARY KEY,
  address TEXT NOT NULL UNIQUE,
  record BLOB NOT NULL) STRICT;

CREATE TABLE proj_identity_held(
  identifier BLOB NOT NULL,
  address TEXT NOT NULL,
  PRIMARY KEY(identifier,address)) STRICT, WITHOUT ROWID;

CREATE TABLE proj_identity_former(
  stay TEXT PRIMARY KEY,
  address TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE INDEX proj_asset_name_asset ON proj_asset_name(asset);
