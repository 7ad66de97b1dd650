-- One part of docs/reference.md, as Markdown, from the catalog; see
-- docs/make-reference.  Names that begin with "_" are not the user's.

SET search_path = pg_catalog;
SELECT :'part' = 'functions' AS functions, :'part' = 'settings' AS settings,
       CASE :'part' WHEN 'views' THEN 'v' WHEN 'tables' THEN 'r' END AS relkind \gset

-- Types as one would type them, and defaults without their casts.
CREATE FUNCTION pg_temp.short(signature text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN regexp_replace(replace(replace(signature, 'timestamp with time zone', 'timestamptz'),
                              'timestamp without time zone', 'timestamp'),
                      '::[a-z ]+', '', 'g');

\if :functions
SELECT E'| function | what it does |\n|---|---|';
SELECT format('| `%s%s(%s)`%s | %s |',
              CASE p.prokind WHEN 'p' THEN 'CALL ' ELSE '' END,
              p.oid::regproc, pg_temp.short(pg_get_function_arguments(p.oid)),
              coalesce(' → `' || nullif(pg_temp.short(pg_get_function_result(p.oid)), 'void') || '`', ''),
              replace(obj_description(p.oid, 'pg_proc'), '|', '\|'))
FROM   pg_proc p
WHERE  p.pronamespace = 'weir'::regnamespace AND p.proname !~ '^_'
       AND p.prorettype <> 'fdw_handler'::regtype
       AND p.proname NOT IN ('kafka_validator', 'generator_validator')
ORDER  BY p.proname, pg_get_function_arguments(p.oid);
\elif :settings
SELECT E'| setting | default | changed by | sets |\n|---|---|---|---|';
SELECT format('| `%s` | %s | %s | %s |', name,
              CASE WHEN unit IS NULL THEN boot_val WHEN unit IN ('ms', 's', 'min') THEN boot_val || ' ' || unit
                   ELSE boot_val || ' × ' || unit END,
              CASE context WHEN 'postmaster' THEN 'restart' WHEN 'sighup' THEN 'reload' ELSE context END,
              short_desc)
FROM   pg_settings WHERE name LIKE 'weir.%' AND name <> 'weir.fault' ORDER BY name;
\else
SELECT format(E'\n### `weir.%s`\n\n%s.\n\n| column | type | meaning |\n|---|---|---|\n%s',
              c.relname, upper(left(d, 1)) || substr(d, 2),
              (SELECT string_agg(format('| `%s` | %s | %s |', a.attname,
                                        pg_temp.short(format_type(a.atttypid, NULL)),
                                        replace(col_description(c.oid, a.attnum), '|', '\|')),
                                 E'\n' ORDER BY a.attnum)
               FROM pg_attribute a
               WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))
FROM   pg_class c, LATERAL obj_description(c.oid, 'pg_class') d
WHERE  c.relnamespace = 'weir'::regnamespace AND c.relkind = :'relkind' AND c.relname !~ '^_'
ORDER  BY c.relname;
\endif
