-- Logged tables. Every row is one leaf of the evidence log. Times are integer
-- milliseconds of Unix time, digests 32-byte blobs. The order of the columns is
-- the order of the canonical line; both change only with a new user_version.

CREATE TABLE store(
  id INTEGER PRIMARY KEY CHECK(id=1),
  uuid TEXT NOT NULL,
  origin TEXT NOT NULL,
  canon_version INTEGER NOT NULL,
  created_ms INTEGER NOT NULL) STRICT;

CREATE TABLE signing_key(
  id INTEGER PRIMARY KEY,
  verifier TEXT NOT NULL UNIQUE,
  created_ms INTEGER NOT NULL) STRICT;

CREATE TABLE run(
  id INTEGER PRIMARY KEY,
  uuid TEXT NOT NULL UNIQUE,
  mode TEXT NOT NULL CHECK(mode IN('active','passive','import','assess')),
  started_ms INTEGER NOT NULL,
  tool TEXT NOT NULL,
  tool_sha256 BLOB CHECK(length(tool_sha256)=32),
  catalogue_sha256 BLOB CHECK(length(catalogue_sha256)=32),
  config_sha256 BLOB CHECK(length(config_sha256)=32),
  operator TEXT NOT NULL,
  authority TEXT NOT NULL,
  sensor TEXT NOT NULL,
  note TEXT NOT NULL,
  as_of_ms INTEGER,
  sqlite TEXT NOT NULL) STRICT;

CREATE TABLE scope(
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL REFERENCES run(id),
  target TEXT NOT NULL,
  allowed INTEGER NOT NULL CHECK(allowed IN(0,1)),
  reason TEXT NOT NULL) STRICT;

CREATE TABLE run_end(
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL UNIQUE REFERENCES run(id),
  ended_ms INTEGER NOT NULL,
  status TEXT NOT NULL CHECK(status IN('complete','incomplete','interrupted','failed','aborted')),
  targets INTEGER NOT NULL,
  reached INTEGER NOT NULL,
  packets_seen INTEGER NOT NULL,
  packets_dropped INTEGER NOT NULL,
  note TEXT NOT NULL) STRICT;

CREATE TABLE probe(
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL REFERENCES run(id),
  address TEXT,
  port INTEGER NOT NULL CHECK(port BETWEEN 0 AND 65535),
  transport TEXT NOT NULL CHECK(transport IN('tcp','udp','file')),
  server_name TEXT NOT NULL,
  probe TEXT NOT NULL,
  started_ms INTEGER NOT NULL,
  ended_ms INTEGER NOT NULL,
  connections INTEGER NOT NULL CHECK(connections>=0),
  bytes_sent INTEGER NOT NULL CHECK(bytes_sent>=0),
  bytes_received INTEGER NOT NULL CHECK(bytes_received>=0),
  outcome TEXT NOT NULL CHECK(outcome IN('sent','skipped','not-needed')),
  reason TEXT NOT NULL,
  CHECK(outcome='sent' OR (connections=0 AND bytes_sent=0))) STRICT;

-- The canonical line of a blob ends before data: the digest stands for it.
CREATE TABLE blob(
  id INTEGER PRIMARY KEY,
  sha256 BLOB NOT NULL UNIQUE CHECK(length(sha256)=32),
  size INTEGER NOT NULL CHECK(size>=0),
  data BLOB NOT NULL CHECK(length(data)=size)) STRICT;

CREATE TABLE observation(
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL REFERENCES run(id),
  probe INTEGER REFERENCES probe(id),
  method TEXT NOT NULL CHECK(method IN('active','passive','import')),
  kind TEXT NOT NULL,
  address TEXT,
  port INTEGER NOT NULL CHECK(port BETWEEN 0 AND 65535),
  transport TEXT NOT NULL CHECK(transport IN('tcp','udp','link','file')),
  server_name TEXT NOT NULL,
  peer_address TEXT,
  peer_port INTEGER CHECK(peer_port BETWEEN 0 AND 65535),
  peer_transport TEXT,
  peer_name TEXT,
  at_ms INTEGER NOT NULL,
  result TEXT NOT NULL CHECK(result IN('data','refused','timeout','reset','error')),
  detail TEXT NOT NULL,
  facts TEXT NOT NULL CHECK(json_valid(facts))) STRICT;

CREATE TABLE raw(
  id INTEGER PRIMARY KEY,
  observation INTEGER NOT NULL REFERENCES observation(id),
  position INTEGER NOT NULL,
  media TEXT NOT NULL,
  blob INTEGER NOT NULL REFERENCES blob(id)) STRICT;

CREATE TABLE presented(
  id INTEGER PRIMARY KEY,
  observation INTEGER NOT NULL REFERENCES observation(id),
  role TEXT NOT NULL CHECK(role IN('server','client','file')),
  position INTEGER NOT NULL,
  blob INTEGER NOT NULL REFERENCES blob(id)) STRICT;

CREATE TABLE host_key(
  id INTEGER PRIMARY KEY,
  observation INTEGER NOT NULL REFERENCES observation(id),
  algorithm TEXT NOT NULL,
  blob INTEGER NOT NULL REFERENCES blob(id)) STRICT;

CREATE TABLE catalogue(
  id INTEGER PRIMARY KEY,
  version TEXT NOT NULL,
  sha256 BLOB NOT NULL UNIQUE CHECK(length(sha256)=32),
  saved_ms INTEGER NOT NULL) STRICT;

CREATE TABLE rule(
  id INTEGER PRIMARY KEY,
  catalogue INTEGER NOT NULL REFERENCES catalogue(id),
  rule TEXT NOT NULL,
  area TEXT NOT NULL,
  title TEXT NOT NULL,
  severity TEXT NOT NULL CHECK(severity IN('info','low','medium','high','critical')),
  rationale TEXT NOT NULL,
  lint TEXT NOT NULL,
  verdicts TEXT NOT NULL CHECK(json_valid(verdicts)),
  remediation TEXT NOT NULL,
  false_positives TEXT NOT NULL,
  UNIQUE(catalogue,rule)) STRICT;

CREATE TABLE clause(
  id INTEGER PRIMARY KEY,
  rule INTEGER NOT NULL REFERENCES rule(id),
  source TEXT NOT NULL,
  edition TEXT NOT NULL,
  clause TEXT NOT NULL,
  title TEXT NOT NULL,
  relation TEXT NOT NULL CHECK(relation IN('tests','supports','input','context')),
  force TEXT NOT NULL,
  verified TEXT NOT NULL) STRICT;

CREATE TABLE finding(
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL REFERENCES run(id),
  rule INTEGER NOT NULL REFERENCES rule(id),
  finding_key BLOB NOT NULL CHECK(length(finding_key)=32),
  severity TEXT NOT NULL CHECK(severity IN('info','low','medium','high','critical')),
  outcome TEXT NOT NULL CHECK(outcome IN('pass','fail','warn','not-applicable','inconclusive')),
  address TEXT,
  port INTEGER CHECK(port BETWEEN 0 AND 65535),
  transport TEXT,
  server_name TEXT,
  certificate BLOB CHECK(length(certificate)=32),
  duplicate TEXT CHECK(json_valid(duplicate)),
  asset TEXT NOT NULL,
  title TEXT NOT NULL,
  detail TEXT NOT NULL,
  UNIQUE(run,finding_key)) STRICT;

CREATE TABLE finding_evidence(
  id INTEGER PRIMARY KEY,
  finding INTEGER NOT NULL REFERENCES finding(id),
  observation INTEGER NOT NULL REFERENCES observation(id),
  UNIQUE(finding,observation)) STRICT;

CREATE TABLE checkpoint(
  id INTEGER PRIMARY KEY,
  size INTEGER NOT NULL UNIQUE CHECK(size>0),
  root BLOB NOT NULL CHECK(length(root)=32),
  note TEXT NOT NULL) STRICT;

-- What people said of assets. Since version 2. Who and under which authority is
-- in the run.
CREATE TABLE asset_fact(
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL REFERENCES run(id),
  at_ms INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK(kind IN('merge','split','label','inventory')),
  asset TEXT NOT NULL,
  other TEXT NOT NULL,
  address TEXT,
  facts TEXT NOT NULL CHECK(json_valid(facts)),
  reason TEXT NOT NULL) STRICT;

-- The evidence log: leaf seq is the row ref of the table kind.
CREATE TABLE entry(
  seq INTEGER PRIMARY KEY CHECK(seq>=0),
  kind TEXT NOT NULL,
  ref INTEGER NOT NULL,
  leaf BLOB NOT NULL CHECK(length(leaf)=32)) STRICT;

-- Projections: derived from the tables above, in no log and guarded by no
-- trigger. Their rows can be deleted and are written again.

CREATE TABLE proj_certificate(
  blob INTEGER PRIMARY KEY REFERENCES blob(id),
  spki_sha256 BLOB,
  subject TEXT,
  issuer TEXT,
  serial TEXT,
  not_before_s INTEGER,
  not_after_s INTEGER,
  key_algorithm TEXT,
  key_bits INTEGER,
  signature_algorithm TEXT,
  is_ca INTEGER) STRICT;

CREATE TABLE proj_asset(
  id INTEGER PRIMARY KEY,
  asset TEXT NOT NULL UNIQUE,
  addresses TEXT NOT NULL,
  first_seen_ms INTEGER NOT NULL,
  last_seen_ms INTEGER NOT NULL) STRICT;

CREATE TABLE proj_asset_endpoint(
  id INTEGER PRIMARY KEY,
  asset INTEGER NOT NULL REFERENCES proj_asset(id),
  address TEXT,
  port INTEGER NOT NULL,
  transport TEXT NOT NULL,
  server_name TEXT NOT NULL) STRICT;

CREATE TABLE proj_claim(
  id INTEGER PRIMARY KEY,
  asset INTEGER NOT NULL REFERENCES proj_asset(id),
  attribute TEXT NOT NULL,
  value TEXT NOT NULL,
  confidence INTEGER NOT NULL,
  layer TEXT NOT NULL,
  observation INTEGER REFERENCES observation(id),
  source TEXT NOT NULL) STRICT;

CREATE TABLE proj_asset_stay(
  id INTEGER PRIMARY KEY,
  asset INTEGER NOT NULL REFERENCES proj_asset(id),
  stay TEXT NOT NULL,
  address TEXT NOT NULL,
  first_ms INTEGER NOT NULL,
  last_ms INTEGER NOT NULL,
  ended INTEGER NOT NULL) STRICT;

CREATE TABLE proj_asset_join(
  id INTEGER PRIMARY KEY,
  asset INTEGER NOT NULL REFERENCES proj_asset(id),
  kept TEXT NOT NULL,
  ended TEXT NOT NULL,
  reason TEXT NOT NULL,
  observations TEXT NOT NULL) STRICT;

-- event and fact are JSON, as package evidence writes them.
CREATE TABLE proj_asset_event(
  id INTEGER PRIMARY KEY,
  asset INTEGER NOT NULL REFERENCES proj_asset(id),
  at_ms INTEGER NOT NULL,
  event TEXT NOT NULL) STRICT;

CREATE TABLE proj_asset_fact(
  id INTEGER PRIMARY KEY,
  asset INTEGER NOT NULL REFERENCES proj_asset(id),
  fact TEXT NOT NULL) STRICT;

CREATE INDEX scope_run ON scope(run);
CREATE INDEX probe_run ON probe(run);
CREATE INDEX observation_run ON observation(run);
CREATE INDEX observation_endpoint ON observation(address,port,transport,server_name);
CREATE INDEX raw_observation ON raw(observation);
CREATE INDEX presented_observation ON presented(observation);
CREATE INDEX presented_blob ON presented(blob);
CREATE INDEX host_key_observation ON host_key(observation);
CREATE INDEX clause_rule ON clause(rule);
CREATE INDEX finding_rule ON finding(rule);
CREATE INDEX finding_evidence_observation ON finding_evidence(observation);
CREATE INDEX proj_asset_endpoint_place ON proj_asset_endpoint(address,port,transport,server_name);
CREATE INDEX proj_asset_endpoint_asset ON proj_asset_endpoint(asset);
CREATE INDEX proj_claim_asset ON proj_claim(asset,attribute);
CREATE INDEX asset_fact_run ON asset_fact(run);
CREATE INDEX proj_asset_stay_asset ON proj_asset_stay(asset);
CREATE INDEX proj_asset_stay_stay ON proj_asset_stay(stay);
CREATE INDEX proj_asset_join_asset ON proj_asset_join(asset);
CREATE INDEX proj_asset_event_asset ON proj_asset_event(asset,at_ms);
CREATE INDEX proj_asset_fact_asset ON proj_asset_fact(asset);

CREATE TRIGGER entry_gapless BEFORE INSERT ON entry
  WHEN NEW.seq<>(SELECT coalesce(max(seq)+1,0) FROM entry)
  BEGIN SELECT RAISE(ABORT,'entry: seq must be the next number'); END;
CREATE TRIGGER checkpoint_grows BEFORE INSERT ON checkpoint
  WHEN NEW.size<>(SELECT coalesce(max(seq)+1,0) FROM entry)
  BEGIN SELECT RAISE(ABORT,'checkpoint: must cover the whole log'); END;
