-- The views of findings: those in the tables of version 3, then those that earlier
-- versions wrote.

CREATE VIEW v_finding AS
SELECT v.first_finding+n.key AS finding, v.run, r.rule, v.severity, v.outcome, s.asset, s.address, s.port,
  lower(hex(s.certificate)) AS certificate, v.title, v.detail, lower(hex(substr(v.keys,32*n.key+1,32))) AS finding_key, 0 AS waived
FROM verdict v JOIN rule r ON r.id=v.rule JOIN json_each(v.subjects) n JOIN subject s ON s.id=n.value
UNION ALL
SELECT f.id, f.run, r.rule, f.severity, f.outcome, f.asset, f.address, f.port,
  lower(hex(f.certificate)), f.title, f.detail, lower(hex(f.finding_key)), 0
FROM finding f JOIN rule r ON r.id=f.rule;

CREATE VIEW v_finding_evidence AS
SELECT v.first_finding+n.key AS finding, o.value AS observation
FROM verdict v JOIN json_each(v.subjects) n JOIN subject s ON s.id=n.value JOIN json_each(s.observations) o
UNION ALL
SELECT finding, observation FROM finding_evidence;

CREATE VIEW v_duplicate AS
SELECT json_extract(duplicate,'$.kind') AS kind, json_extract(duplicate,'$.value') AS value,
  coalesce(json_extract(duplicate,'$.certificates'),'[]') AS certificates,
  coalesce(json_extract(duplicate,'$.assets'),'[]') AS assets,
  max(json_extract(duplicate,'$.confidence')) AS confidence
FROM (SELECT run, duplicate FROM subject UNION ALL SELECT run, duplicate FROM finding)
WHERE duplicate IS NOT NULL AND run=(SELECT max(run) FROM (SELECT max(run) AS run FROM subject UNION ALL SELECT max(run) FROM finding))
GROUP BY 1,2;
