#!/bin/sh
#
# shop.sh: what docker-compose.yml has made in the database on the first start.
#
# The shop, the roles that Grafana and the metrics exporter log in as, and the
# nightly maintenance.

set -eu

sql()
{
	psql -X -q -v ON_ERROR_STOP=1 -U postgres -d "$POSTGRES_DB" "$@"
}

sql -v "bootstrap_servers=$KAFKA_BOOTSTRAP_SERVERS" -f /shop/shop.sql
sql -v "password=$GRAFANA_PASSWORD" -f /shop/role.sql
sql -o /dev/null -v "password=$METRICS_PASSWORD" <<'END'
CREATE ROLE metrics LOGIN PASSWORD :'password';
GRANT pg_monitor TO metrics;
ALTER ROLE metrics SET statement_timeout = '10s';
CREATE EXTENSION pg_cron;
SELECT weir.schedule_maintenance();
END
