/*-------------------------------------------------------------------------
 *
 * produce.c
 *	  weir.start_producer() and weir.stop_producer().
 *
 * They change rows of weir.producer; the workers follow at commit.  Who
 * starts a producer owns it, needs INSERT on its target and SELECT on its
 * source, now and whenever its worker starts.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include <math.h>

#include "base/usercontext.h"
#include "catalog/catalog.h"
#include "catalog/pg_authid.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "source/encode.h"
#include "source/stream.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "worker/producer.h"
#include "worker/shmem.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(weir_start_producer);
PG_FUNCTION_INFO_V1(weir_stop_producer);
PG_FUNCTION_INFO_V1(weir_producer_activity);

static void
check_arguments(const char *name, double rate)
{
	if (name[0] == '\0' || strlen(name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("invalid producer name \"%s\"", name),
				 errdetail("A name has 1 to %d bytes.", NAMEDATALEN - 1)));
	if (isnan(rate) || isinf(rate) || rate < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a producer's rate must not be negative or infinite"),
				 errhint("0 is as fast as it goes.")));
}

/* The target as a stream that takes messages from this user. */
static WeirStream *
open_target(Oid target)
{
	WeirSourceKind kind;
	AclResult	acl;

	LockRelationOid(target, AccessShareLock);
	if (!weir_stream_is(target, &kind) || kind != WEIR_KAFKA)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a stream over a topic",
						get_rel_name(target) ? get_rel_name(target) : "?"),
				 errhint("A producer's target is a foreign table of weir_kafka.")));
	acl = pg_class_aclcheck(target, GetUserId(), ACL_INSERT);
	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, OBJECT_FOREIGN_TABLE, get_rel_name(target));
	return weir_stream_get(target);
}

/*
 * Opening the query as a cursor is what finds every mistake in it, and a
 * missing privilege; no row is read.
 */
static void
check_query(const char *source, WeirStream *target)
{
	SPIPlanPtr	plan;
	Portal		portal;

	SPI_connect();
	plan = SPI_prepare(weir_producer_query(source), 0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s",
			 SPI_result_code_string(SPI_result));
	if (!SPI_is_cursor_plan(plan))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a producer's source is not one query"),
				 errhint("Give one SELECT, or the name of a table, a view or a stream.")));
	portal = SPI_cursor_open(NULL, plan, NULL, NULL, true);
	(void) weir_encoder_create(target, portal->tupDesc);
	SPI_cursor_close(portal);
	SPI_finish();
}

/* A generator stream is read as it is, with whatever columns it has. */
static void
check_source(const char *source, WeirStream *target)
{
	Oid			relid = weir_producer_relation(source);
	WeirSourceKind kind;
	AclResult	acl;

	if (!OidIsValid(relid) || !weir_stream_is(relid, &kind) ||
		kind != WEIR_GENERATOR)
	{
		check_query(source, target);
		return;
	}
	acl = pg_class_aclcheck(relid, GetUserId(), ACL_SELECT);
	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, OBJECT_FOREIGN_TABLE, get_rel_name(relid));
}

/* The producer's row, for its owner only; NULL if there is none. */
static WeirProducer *
get_own_producer(const char *name, bool missing_ok)
{
	WeirProducer *producer = weir_producer_get(name, missing_ok);

	if (producer && !has_privs_of_role(GetUserId(), producer->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of producer \"%s\"", name)));
	return producer;
}

/*
 * Make way for a producer called name.  Gives where it goes on: a stopped one
 * with the same source and target is taken up again.
 */
static int64
replace_stopped(const char *name, const char *source, Oid target)
{
	WeirProducer *old = get_own_producer(name, true);

	if (old == NULL)
		return 0;
	if (old->enabled)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("producer \"%s\" is already running", name),
				 errhint("Stop it with weir.stop_producer(), or give the new one another name.")));
	weir_producer_delete(name);
	CommandCounterIncrement();
	return strcmp(old->source, source) == 0 && old->target == target ?
		old->produced : 0;
}

Datum
weir_start_producer(PG_FUNCTION_ARGS)
{
	WeirProducer producer = {0};

	producer.name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	producer.source = text_to_cstring(PG_GETARG_TEXT_PP(1));
	producer.target = PG_GETARG_OID(2);
	producer.rate = PG_GETARG_FLOAT8(3);
	weir_shmem_require();
	PreventCommandIfReadOnly("weir.start_producer()");
	check_arguments(producer.name, producer.rate);
	check_source(producer.source, open_target(producer.target));
	producer.produced = replace_stopped(producer.name, producer.source,
										producer.target);
	producer.owner = GetUserId();
	producer.settings = weir_user_settings();
	producer.enabled = true;
	weir_producer_insert(&producer);
	weir_wake_at_commit();
	PG_RETURN_VOID();
}

Datum
weir_stop_producer(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));

	weir_shmem_require();
	PreventCommandIfReadOnly("weir.stop_producer()");
	(void) get_own_producer(name, false);
	weir_producer_set_enabled(name, false);
	weir_wake_at_commit();
	PG_RETURN_VOID();
}

/* As weir.stat_producer shows rows: to the owner, and to pg_monitor. */
static bool
may_see_producer(const char *name)
{
	WeirProducer *row = weir_producer_get(name, true);

	return row != NULL && (has_privs_of_role(GetUserId(), row->owner) ||
						   has_privs_of_role(GetUserId(), ROLE_PG_MONITOR));
}

/*
 * SQL: weir._producer_activity(), the producers of this database that run and
 * that the user may see.
 */
Datum
weir_producer_activity(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	WeirSlot   *slots;

	InitMaterializedSRF(fcinfo, 0);
	if (weir_shared == NULL)
		PG_RETURN_VOID();
	slots = palloc(sizeof(weir_shared->slots));
	LWLockAcquire(weir_shared->lock, LW_SHARED);
	memcpy(slots, weir_shared->slots, sizeof(weir_shared->slots));
	LWLockRelease(weir_shared->lock);
	for (int i = 0; i < WEIR_MAX_WORKERS; i++)
	{
		Datum		values[4];
		bool		nulls[4] = {false};

		if (!slots[i].in_use || slots[i].proc == NULL ||
			slots[i].kind != WEIR_WORKER_PRODUCER ||
			slots[i].database != MyDatabaseId ||
			!may_see_producer(NameStr(slots[i].name)))
			continue;
		values[0] = CStringGetTextDatum(NameStr(slots[i].name));
		values[1] = Int32GetDatum(slots[i].pid);
		values[2] = Float8GetDatum(weir_rate_now(&slots[i].rate));
		values[3] = CStringGetTextDatum(slots[i].error);
		nulls[3] = slots[i].error[0] == '\0';
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	PG_RETURN_VOID();
}
