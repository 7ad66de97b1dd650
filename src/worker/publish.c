/*-------------------------------------------------------------------------
 *
 * publish.c
 *	  Positions of views, as offsets of consumer groups.
 *
 * They are information for lag tools and nothing else: no reader ever looks
 * at them.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "worker/publish.h"

/*
 * The consumer group under which a view's positions are published, or NULL if
 * the view is gone: weir.<database>.<view>, with its schema before it if that
 * is not public.
 */
static char *
group_name(Oid view)
{
	char	   *database = get_database_name(MyDatabaseId);
	char	   *schema = get_namespace_name(get_rel_namespace(view));
	char	   *name = get_rel_name(view);

	if (database == NULL || schema == NULL || name == NULL)
		return NULL;
	if (strcmp(schema, "public") == 0)
		return psprintf("weir.%s.%s", database, name);
	return psprintf("weir.%s.%s.%s", database, schema, name);
}

void
weir_publish_positions(WeirAssignment *assignment)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *names = NIL;
	ListCell   *lc;
	ListCell   *name;

	if (!weir_worker_begin(assignment->slot->object))
	{
		weir_worker_commit();
		MemoryContextSwitchTo(context);
		return;
	}
	MemoryContextSwitchTo(context);
	foreach(lc, assignment->served)
		names = lappend(names,
						group_name(((WeirServed *) lfirst(lc))->view->view));
	weir_worker_commit();
	MemoryContextSwitchTo(context);
	forboth(lc, assignment->served, name, names)
	{
		WeirServed *served = lfirst(lc);
		WeirPosition *positions;

		if (lfirst(name) == NULL)
			continue;
		positions = palloc_array(WeirPosition, served->npartitions);
		for (int p = 0; p < served->npartitions; p++)
		{
			positions[p].partition = p;
			positions[p].offset = served->checkpoints[p].next_offset;
		}
		weir_source_publish(assignment->source, lfirst(name),
							served->npartitions, positions);
	}
}
