-- The contract for auditors; docs/contract/views.md describes every column.
-- Only functions that SQLite 3.40 has, so that a distribution's shell reads them.

CREATE VIEW v_run AS
SELECT r.id AS run, r.mode,
  strftime('%Y-%m-%dT%H:%M:%fZ',r.started_ms/1000.0,'unixepoch') AS started,
  strftime('%Y-%m-%dT%H:%M:%fZ',e.ended_ms/1000.0,'unixepoch') AS ended,
  coalesce(e.status,'unended') AS status,
  e.targets, e.reached, e.packets_seen, e.packets_dropped,
  CASE WHEN r.note='' THEN coalesce(e.note,'') WHEN coalesce(e.note,'')='' THEN r.note ELSE r.note||'; '||e.note END AS note
FROM run r LEFT JOIN run_end e ON e.run=r.id;

CREATE VIEW v_asset AS
SELECT a.asset, a.addresses,
  (SELECT json_group_array(value) FROM (SELECT DISTINCT value FROM proj_claim c WHERE c.asset=a.id AND attribute='mac' ORDER BY value)) AS macs,
  (SELECT value FROM proj_claim c WHERE c.asset=a.id AND attribute='manufacturer' ORDER BY confidence DESC, id LIMIT 1) AS manufacturer,
  (SELECT value FROM proj_claim c WHERE c.asset=a.id AND attribute='model' ORDER BY confidence DESC, id LIMIT 1) AS model,
  (SELECT value FROM proj_claim c WHERE c.asset=a.id AND attribute='version' ORDER BY confidence DESC, id LIMIT 1) AS version,
  (SELECT value FROM proj_claim c WHERE c.asset=a.id AND attribute='serial' ORDER BY confidence DESC, id LIMIT 1) AS serial,
  (SELECT value FROM proj_claim c WHERE c.asset=a.id AND attribute='class' ORDER BY confidence DESC, id LIMIT 1) AS class,
  (SELECT coalesce(max(confidence),0) FROM proj_claim c WHERE c.asset=a.id AND attribute IN('manufacturer','model')) AS confidence,
  strftime('%Y-%m-%dT%H:%M:%fZ',a.first_seen_ms/1000.0,'unixepoch') AS first_seen,
  strftime('%Y-%m-%dT%H:%M:%fZ',a.last_seen_ms/1000.0,'unixepoch') AS last_seen
FROM proj_asset a;

CREATE VIEW v_endpoint AS
SELECT
  coalesce((SELECT min(a.asset) FROM proj_asset_endpoint p JOIN proj_asset a ON a.id=p.asset
      WHERE p.address=e.address AND p.port=e.port AND p.transport=e.transport AND p.server_name=e.server_name),
    (SELECT min(a.asset) FROM proj_asset_endpoint p JOIN proj_asset a ON a.id=p.asset
      WHERE p.address=e.address AND p.port=e.port AND p.transport=e.transport)) AS asset,
  e.address, e.port, e.transport,
  CASE WHEN e.dicom THEN 'dicom' WHEN e.hl7 THEN 'hl7' WHEN e.ssh THEN 'ssh' WHEN e.snmp THEN 'snmp'
    WHEN e.tls THEN coalesce(e.carrier,'tls') ELSE coalesce(e.document,e.told,e.spoke,'unknown') END AS protocol,
  e.server_name,
  (SELECT json_group_array(CASE v WHEN 2 THEN 'SSL 2.0' WHEN 768 THEN 'SSL 3.0' WHEN 769 THEN 'TLS 1.0' WHEN 770 THEN 'TLS 1.1'
      WHEN 771 THEN 'TLS 1.2' WHEN 772 THEN 'TLS 1.3' ELSE printf('0x%04x',v) END)
    FROM (SELECT DISTINCT json_extract(o.facts,'$.tls.version') AS v FROM observation o
      WHERE o.address=e.address AND o.port=e.port AND o.transport=e.transport AND o.server_name=e.server_name
        AND o.result='data' AND o.kind='tls' AND v IS NOT NULL ORDER BY v)) AS tls_versions,
  (SELECT json_group_array(printf('0x%04x',v))
    FROM (SELECT DISTINCT json_extract(o.facts,'$.tls.cipher_suite') AS v FROM observation o
      WHERE o.address=e.address AND o.port=e.port AND o.transport=e.transport AND o.server_name=e.server_name
        AND o.result='data' AND o.kind='tls' AND v IS NOT NULL ORDER BY v)) AS tls_ciphers,
  CASE e.client_auth WHEN 3 THEN 'required' WHEN 2 THEN 'requested' WHEN 1 THEN 'not-asked' ELSE '' END AS client_auth,
  strftime('%Y-%m-%dT%H:%M:%fZ',e.first_ms/1000.0,'unixepoch') AS first_seen,
  strftime('%Y-%m-%dT%H:%M:%fZ',e.last_ms/1000.0,'unixepoch') AS last_seen
FROM (SELECT address, port, transport, server_name,
    max(kind='dicom') AS dicom, max(kind='hl7') AS hl7, max(kind='ssh') AS ssh, max(kind='snmp') AS snmp,
    max(kind='tls' AND coalesce(json_extract(facts,'$.tls.not_tls'),0)=0) AS tls,
    max(json_extract(facts,'$.tls.spoke')) AS spoke,
    max(json_extract(facts,'$.tls.carrier')) AS carrier,
    max(CASE WHEN kind IN('fhir','sdc') THEN kind END) AS document,
    max(coalesce(json_extract(facts,'$.identity.protocol'),json_extract(facts,'$.banner.protocol'),CASE WHEN kind NOT IN('tls','mtls','identity','banner') THEN kind END)) AS told,
    max(CASE json_extract(facts,'$.tls.client_auth') WHEN 'required' THEN 3 WHEN 'requested' THEN 2 WHEN 'not-asked' THEN 1 ELSE 0 END) AS client_auth,
    min(at_ms) AS first_ms, max(at_ms) AS last_ms
  FROM observation WHERE result='data' AND transport NOT IN('link','file')
  GROUP BY address, port, transport, server_name) e;

CREATE VIEW v_certificate AS
SELECT lower(hex(b.sha256)) AS sha256, lower(hex(c.spki_sha256)) AS spki_sha256,
  c.subject, c.issuer, c.serial,
  strftime('%Y-%m-%dT%H:%M:%SZ',c.not_before_s,'unixepoch') AS not_before,
  strftime('%Y-%m-%dT%H:%M:%SZ',c.not_after_s,'unixepoch') AS not_after,
  c.key_algorithm, c.key_bits, c.signature_algorithm, c.is_ca,
  s.sightings,
  strftime('%Y-%m-%dT%H:%M:%fZ',s.first_ms/1000.0,'unixepoch') AS first_seen,
  strftime('%Y-%m-%dT%H:%M:%fZ',s.last_ms/1000.0,'unixepoch') AS last_seen
FROM (SELECT p.blob, count(*) AS sightings, min(o.at_ms) AS first_ms, max(o.at_ms) AS last_ms
  FROM presented p JOIN observation o ON o.id=p.observation GROUP BY p.blob) s
JOIN blob b ON b.id=s.blob LEFT JOIN proj_certificate c ON c.blob=s.blob;

CREATE VIEW v_sighting AS
SELECT lower(hex(b.sha256)) AS certificate, s.address, s.port, s.role, s.position, s.method, s.run,
  strftime('%Y-%m-%dT%H:%M:%fZ',s.first_ms/1000.0,'unixepoch') AS first_seen,
  strftime('%Y-%m-%dT%H:%M:%fZ',s.last_ms/1000.0,'unixepoch') AS last_seen,
  s.count
FROM (SELECT p.blob,
    CASE WHEN p.role='client' AND o.peer_address IS NOT NULL THEN o.peer_address ELSE o.address END AS address,
    CASE WHEN p.role='client' AND o.peer_address IS NOT NULL THEN NULL ELSE o.port END AS port,
    p.role, p.position, o.method, o.run, min(o.at_ms) AS first_ms, max(o.at_ms) AS last_ms, count(*) AS count
  FROM presented p JOIN observation o ON o.id=p.observation
  GROUP BY 1,2,3,4,5,6,7) s
JOIN blob b ON b.id=s.blob;

CREATE VIEW v_probe AS
SELECT run, address, port, probe,
  strftime('%Y-%m-%dT%H:%M:%fZ',started_ms/1000.0,'unixepoch') AS started,
  connections, bytes_sent, bytes_received, outcome, reason
FROM probe;

CREATE VIEW v_clause AS
SELECT c.source, c.edition, c.clause, c.title, r.rule, c.relation, c.force, c.verified
FROM clause c JOIN rule r ON r.id=c.rule WHERE r.catalogue=(SELECT max(id) FROM catalogue);

CREATE VIEW v_claim AS
SELECT a.asset, c.attribute, c.value, c.confidence, c.layer, c.observation, c.source
FROM proj_claim c JOIN proj_asset a ON a.id=c.asset;

CREATE VIEW v_asset_stay AS
SELECT a.asset, s.stay, s.address,
  strftime('%Y-%m-%dT%H:%M:%fZ',s.first_ms/1000.0,'unixepoch') AS first_seen,
  strftime('%Y-%m-%dT%H:%M:%fZ',s.last_ms/1000.0,'unixepoch') AS last_seen,
  s.ended
FROM proj_asset_stay s JOIN proj_asset a ON a.id=s.asset;

CREATE VIEW v_asset_join AS
SELECT a.asset, j.kept, j.ended, j.reason, j.observations
FROM proj_asset_join j JOIN proj_asset a ON a.id=j.asset;

CREATE VIEW v_asset_event AS
SELECT a.asset, strftime('%Y-%m-%dT%H:%M:%fZ',e.at_ms/1000.0,'unixepoch') AS at,
  json_extract(e.event,'$.kind') AS kind, json_extract(e.event,'$.subject') AS subject,
  coalesce(json_extract(e.event,'$.before'),'') AS before, coalesce(json_extract(e.event,'$.after'),'') AS after,
  coalesce(json_extract(e.event,'$.detail'),'') AS detail, coalesce(json_extract(e.event,'$.observations'),'[]') AS observations,
  json_extract(e.event,'$.fact') AS fact
FROM proj_asset_event e JOIN proj_asset a ON a.id=e.asset;

CREATE VIEW v_asset_fact AS
SELECT f.id AS fact, f.run, strftime('%Y-%m-%dT%H:%M:%fZ',f.at_ms/1000.0,'unixepoch') AS at,
  f.kind, f.asset, f.other, f.address, f.facts, f.reason, r.operator
FROM asset_fact f JOIN run r ON r.id=f.run;
