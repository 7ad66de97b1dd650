/*-------------------------------------------------------------------------
 *
 * schedule.c
 *	  weir.schedule_maintenance(): weir.maintain() as a job of pg_cron.
 *
 * pg_cron is no requirement: it is looked for when it is asked for, and where
 * it is not there the error says what to type.  It lives in one database of a
 * cluster; jobs for others are made there.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#define JOB		"weir.maintain"

/* What to do where pg_cron is not in this database. */
static void
pg_attribute_noreturn()
raise_absent(const char *schedule, const char *command)
{
	char	   *database = get_database_name(MyDatabaseId);
	const char *home = GetConfigOption("cron.database_name", true, false);

	if (home == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pg_cron is not loaded"),
				 errhint("Install the package postgresql-%d-cron, put shared_preload_libraries = %s, cron.database_name = %s and cron.use_background_workers = on into postgresql.conf, restart, and run CREATE EXTENSION pg_cron; or let any other scheduler run: %s",
						 PG_VERSION_NUM / 10000,
						 quote_literal_cstr(psprintf("%s,pg_cron",
													 GetConfigOption("shared_preload_libraries",
																	 false, false))),
						 quote_literal_cstr(database), command)));
	if (strcmp(home, database) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"pg_cron\" is not installed in this database"),
				 errhint("Run CREATE EXTENSION pg_cron.")));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("pg_cron lives in another database"),
			 errdetail("Jobs are made in database \"%s\" (cron.database_name).",
					   home),
			 errhint("In that database run: SELECT cron.schedule_in_database(%s, %s, %s, %s);",
					 quote_literal_cstr(psprintf("%s %s", JOB, database)),
					 quote_literal_cstr(schedule),
					 quote_literal_cstr(command),
					 quote_literal_cstr(database))));
}

static bool
is_here(void)
{
	return OidIsValid(get_extension_oid("pg_cron", true));
}

PG_FUNCTION_INFO_V1(weir_schedule_maintenance);

/*
 * weir.schedule_maintenance(schedule text, command text): the job's number.
 * Called again it changes the caller's job.  Raises 55000 with what to type
 * where pg_cron is not there, and what pg_cron raises for a schedule.
 */
Datum
weir_schedule_maintenance(PG_FUNCTION_ARGS)
{
	char	   *schedule = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *command = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Oid			types[] = {TEXTOID, TEXTOID, TEXTOID};
	Datum		values[3];
	int64		job;
	bool		isnull;

	if (!is_here())
		raise_absent(schedule, command);
	SPI_connect();
	values[0] = CStringGetTextDatum(JOB);
	values[1] = CStringGetTextDatum(schedule);
	values[2] = CStringGetTextDatum(command);
	if (SPI_execute_with_args("SELECT cron.schedule($1, $2, $3)", 3, types,
							  values, NULL, false, 0) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not schedule a job");
	job = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
									  SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	PG_RETURN_INT64(job);
}

PG_FUNCTION_INFO_V1(weir_unschedule_maintenance);

/*
 * weir.unschedule_maintenance(): false if the caller had no such job.
 */
Datum
weir_unschedule_maintenance(PG_FUNCTION_ARGS)
{
	bool		found = false;

	if (is_here())
	{
		SPI_connect();
		if (SPI_execute("SELECT cron.unschedule(jobid) FROM cron.job"
						" WHERE jobname OPERATOR(pg_catalog.=) '" JOB "'"
						" AND username OPERATOR(pg_catalog.=) current_user",
						false,
						0) != SPI_OK_SELECT)
			elog(ERROR, "could not unschedule a job");
		found = SPI_processed > 0;
		SPI_finish();
	}
	PG_RETURN_BOOL(found);
}
