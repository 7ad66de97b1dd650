/*-------------------------------------------------------------------------
 *
 * insert.c
 *	  INSERT into a stream: rows become messages of the topic.
 *
 * Messages are queued row by row, and librdkafka sends them in batches.  The
 * statement ends only when every one is delivered to all replicas, and fails
 * if one is not.  ROLLBACK does not unsend.  NOT NULL and CHECK are enforced
 * on the way out as they are on the way in: both are the data's contract.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "commands/insert.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "parser/parsetree.h"
#include "source/encode.h"
#include "source/kafka.h"
#include "source/stream.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

typedef struct Insertion
{
	WeirEncoder *encoder;
	WeirKafkaProducer *producer;
	bool		constrained;	/* the stream has NOT NULL or CHECK */
	MemoryContext row;			/* reset after each row */
} Insertion;

static void
begin(EState *estate, ResultRelInfo *rinfo)
{
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);
	Insertion  *insertion = palloc0(sizeof(Insertion));
	WeirStream *stream = weir_stream_get(RelationGetRelid(rinfo->ri_RelationDesc));
	Oid			userid = weir_insert_user(estate, rinfo);

	if (!OidIsValid(userid))
		userid = GetUserId();
	insertion->encoder = weir_encoder_create(stream, NULL);
	insertion->constrained = stream->tupdesc->constr != NULL;
	insertion->row = AllocSetContextCreate(CurrentMemoryContext,
										   "weir insert row",
										   ALLOCSET_DEFAULT_SIZES);
	insertion->producer =
		weir_kafka_producer_open(stream->topic, stream->server_options,
								 weir_kafka_mapping(stream->serverid, userid),
								 stream->max_message_bytes);
	rinfo->ri_FdwState = insertion;
	MemoryContextSwitchTo(old);
}

static void
begin_modify(ModifyTableState *mtstate, ResultRelInfo *rinfo,
			 List *fdw_private, int subplan_index, int eflags)
{
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	begin(mtstate->ps.state, rinfo);
}

/* COPY, and rows routed to a partition. */
static void
begin_insert(ModifyTableState *mtstate, ResultRelInfo *rinfo)
{
	begin(mtstate->ps.state, rinfo);
}

static TupleTableSlot *
insert_row(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot,
		   TupleTableSlot *plan_slot)
{
	Insertion  *insertion = rinfo->ri_FdwState;
	MemoryContext old;
	WeirEncoded message;

	if (insertion->constrained)
		ExecConstraints(rinfo, slot, estate);
	slot_getallattrs(slot);
	old = MemoryContextSwitchTo(insertion->row);
	weir_encode(insertion->encoder, slot->tts_values, slot->tts_isnull,
				&message);
	weir_kafka_produce(insertion->producer, message.partition,
					   message.timestamp, message.key, message.key_len,
					   message.value, message.value_len);
	MemoryContextSwitchTo(old);
	MemoryContextReset(insertion->row);
	return slot;
}

static void
end(EState *estate, ResultRelInfo *rinfo)
{
	Insertion  *insertion = rinfo->ri_FdwState;

	if (!insertion)
		return;
	weir_kafka_producer_flush(insertion->producer);
	weir_kafka_producer_close(insertion->producer);
	rinfo->ri_FdwState = NULL;
}

static int
updatable(Relation rel)
{
	return 1 << CMD_INSERT;
}

void
weir_insert_callbacks(FdwRoutine *routine)
{
	routine->BeginForeignModify = begin_modify;
	routine->ExecForeignInsert = insert_row;
	routine->EndForeignModify = end;
	routine->BeginForeignInsert = begin_insert;
	routine->EndForeignInsert = end;
	routine->IsForeignRelUpdatable = updatable;
}

static void
raise_generator(Relation rel)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot insert into generator stream \"%s\"",
					RelationGetRelationName(rel)),
			 errdetail("A generator makes its messages from its options."),
			 errhint("Insert into a stream of weir_kafka.")));
}

static List *
refuse_plan(PlannerInfo *root, ModifyTable *plan, Index relation,
			int subplan_index)
{
	RangeTblEntry *rte = planner_rt_fetch(relation, root);

	/* what else there is, PostgreSQL refuses */
	if (plan->operation == CMD_INSERT)
		raise_generator(RelationIdGetRelation(rte->relid));
	return NIL;
}

static void
refuse_insert(ModifyTableState *mtstate, ResultRelInfo *rinfo)
{
	raise_generator(rinfo->ri_RelationDesc);
}

void
weir_insert_refusals(FdwRoutine *routine)
{
	routine->PlanForeignModify = refuse_plan;
	routine->BeginForeignInsert = refuse_insert;
}
