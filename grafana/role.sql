-- The role that Grafana reads with: SELECT on the continuous views of this
-- database, and what pg_monitor may see; nothing may be written, and a query
-- ends after 5 seconds.  To be run as a superuser, again after a view was made:
--
--	psql -X -v ON_ERROR_STOP=1 -d shop -f grafana/role.sql
--
-- Variables: role (grafana) and password (left as it is, or none).

\if :{?role}
\else
	\set role grafana
\endif

SELECT format('CREATE ROLE %I LOGIN', :'role')
WHERE  to_regrole(quote_ident(:'role')) IS NULL \gexec
\if :{?password}
ALTER ROLE :"role" PASSWORD :'password';
\endif

ALTER ROLE :"role" SET default_transaction_read_only = on;
ALTER ROLE :"role" SET statement_timeout = '5s';
SELECT format('GRANT pg_monitor TO %I', :'role')
WHERE  NOT pg_has_role(:'role', 'pg_monitor', 'MEMBER') \gexec

SELECT format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, :'role'),
       format('GRANT SELECT ON %s TO %I', v.view, :'role')
FROM   weir.view v JOIN pg_class c ON c.oid = v.view
       JOIN pg_namespace n ON n.oid = c.relnamespace \gexec
