-- The views of findings up to version 2.

CREATE VIEW v_finding AS
SELECT f.id AS finding, f.run, r.rule, f.severity, f.outcome, f.asset, f.address, f.port,
  lower(hex(f.certificate)) AS certificate, f.title, f.detail, lower(hex(f.finding_key)) AS finding_key, 0 AS waived
FROM finding f JOIN rule r ON r.id=f.rule;

CREATE VIEW v_duplicate AS
SELECT json_extract(duplicate,'$.kind') AS kind, json_extract(duplicate,'$.value') AS value,
  coalesce(json_extract(duplicate,'$.certificates'),'[]') AS certificates,
  coalesce(json_extract(duplicate,'$.assets'),'[]') AS assets,
  max(json_extract(duplicate,'$.confidence')) AS confidence
FROM finding WHERE duplicate IS NOT NULL AND run=(SELECT max(run) FROM finding)
GROUP BY 1,2;
