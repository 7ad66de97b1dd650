/*-------------------------------------------------------------------------
 *
 * holder.c
 *	  Which session keeps space from being reclaimed?
 *
 * A dead segment is given back when no version of the state row is left that
 * lists it, and nobody holds a lock on it (window/segment.c).  Versions are
 * kept by the oldest snapshot of the database: of a session, of a prepared
 * transaction, or of a replication slot or a standby.  A lock is kept to the
 * end of a transaction that has read the view.
 *
 * Whoever asks may know process and user, as in pg_stat_activity; since when
 * a session's transaction runs is told to those who see it there.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "base/usercontext.h"
#include "commands/holder.h"
#include "window/segment.h"

/* Columns: kind, pid, name, since, role of a session. */
static const char *const oldest_snapshot =
"SELECT kind, pid, name, since, role"
" FROM (SELECT CASE backend_type WHEN 'walsender' THEN 'standby' ELSE 'session' END AS kind,"
"              pid::text, usename::text AS name, coalesce(xact_start, backend_start) AS since, usesysid AS role,"
"              greatest(age(backend_xmin), age(backend_xid)) AS age"
"       FROM pg_stat_activity"
"       WHERE pid <> pg_backend_pid() AND (datname = current_database() OR backend_type = 'walsender')"
"             AND backend_type <> 'autovacuum worker'"
"      UNION ALL"
"       SELECT 'prepared', NULL, gid, prepared, NULL, age(transaction)"
"       FROM pg_prepared_xacts WHERE database = current_database()"
"      UNION ALL"
"       SELECT 'slot', NULL, slot_name::text, NULL, NULL, age(xmin) FROM pg_replication_slots) h"
" WHERE age IS NOT NULL AND $1 IS NOT NULL ORDER BY age DESC LIMIT 1";

static const char *const oldest_lock =
"SELECT CASE WHEN a.pid IS NULL THEN 'prepared' ELSE 'session' END,"
"       a.pid::text, coalesce(a.usename::text, p.gid), coalesce(a.xact_start, p.prepared), a.usesysid"
" FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid"
"      LEFT JOIN pg_prepared_xacts p ON l.pid IS NULL AND l.virtualtransaction = '-1/' || p.transaction"
" WHERE l.locktype = 'relation' AND l.granted AND l.relation = ANY ($1)"
"       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
"       AND l.pid IS DISTINCT FROM pg_backend_pid() AND (a.pid IS NOT NULL OR p.gid IS NOT NULL)"
" ORDER BY 4 LIMIT 1";

/* What one of the two finds, in the caller's memory context. */
typedef struct Holder
{
	char	   *kind;			/* NULL: nobody */
	char	   *pid;
	char	   *name;
	char	   *since;			/* NULL: not known, or not to be told */
} Holder;

/* As pg_stat_activity; a prepared transaction is shown to everybody. */
static bool
may_see_since(Oid caller)
{
	bool		isnull;
	Datum		role = SPI_getbinval(SPI_tuptable->vals[0],
									 SPI_tuptable->tupdesc, 5, &isnull);

	return isnull || has_privs_of_role(caller, DatumGetObjectId(role)) ||
		has_privs_of_role(caller, ROLE_PG_READ_ALL_STATS);
}

static char *
copy_column(int column, MemoryContext context)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[0],
									 SPI_tuptable->tupdesc, column);

	return value ? MemoryContextStrdup(context, value) : NULL;
}

/* Run a query as the bootstrap superuser, who sees all sessions. */
static void
find_holder(const char *query, const WeirView *view, Holder *holder)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			caller = GetUserId();
	WeirUserContext user;
	Datum		segments[WEIR_SEGMENTS];
	Datum		value;
	Oid			type = OIDARRAYOID;

	for (int i = 0; i < WEIR_SEGMENTS; i++)
		segments[i] = ObjectIdGetDatum(view->segments[i]);
	value = PointerGetDatum(construct_array(segments, WEIR_SEGMENTS, OIDOID,
											sizeof(Oid), true, TYPALIGN_INT));
	memset(holder, 0, sizeof(Holder));
	weir_user_enter(&user, BOOTSTRAP_SUPERUSERID, NIL);
	SPI_connect();
	if (SPI_execute_with_args(query, 1, &type, &value, NULL, true, 1) < 0)
		elog(ERROR, "could not look for old snapshots");
	if (SPI_processed == 1)
	{
		holder->kind = copy_column(1, context);
		holder->pid = copy_column(2, context);
		holder->name = copy_column(3, context);
		if (may_see_since(caller))
			holder->since = copy_column(4, context);
	}
	SPI_finish();
	weir_user_leave(&user);
}

/* Who it is and what to type. */
static char *
describe(const Holder *holder, const char *holds)
{
	const char *since = holder->since ? holder->since : "an unknown time";

	if (strcmp(holder->kind, "prepared") == 0)
		return psprintf("No space is reclaimed because prepared transaction %s holds %s, since %s.  Type: COMMIT PREPARED %s; or ROLLBACK PREPARED %s;",
						quote_literal_cstr(holder->name), holds, since,
						quote_literal_cstr(holder->name),
						quote_literal_cstr(holder->name));
	if (strcmp(holder->kind, "slot") == 0)
		return psprintf("No space is reclaimed because replication slot %s holds %s.  Let its standby catch up, or, if it is not needed any more, type: SELECT pg_drop_replication_slot(%s);",
						quote_literal_cstr(holder->name), holds,
						quote_literal_cstr(holder->name));
	if (strcmp(holder->kind, "standby") == 0)
		return psprintf("No space is reclaimed because a standby, served by process %s, holds %s (hot_standby_feedback).  End the long query there.",
						holder->pid, holds);
	return psprintf("No space is reclaimed because session %s of user %s holds %s, since %s.  End its transaction, or type: SELECT pg_terminate_backend(%s);",
					holder->pid, holder->name ? holder->name : "?", holds,
					since, holder->pid);
}

char *
weir_holder_sentence(const WeirView *view)
{
	Holder		holder;
	bool		by_snapshot;

	if (RecoveryInProgress() || !weir_segment_held(view, &by_snapshot))
		return NULL;
	find_holder(by_snapshot ? oldest_snapshot : oldest_lock, view, &holder);
	if (holder.kind == NULL)
		return NULL;
	return describe(&holder, by_snapshot ? "a snapshot" :
					"a lock on what it has read of the view");
}
