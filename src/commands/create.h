/*-------------------------------------------------------------------------
 *
 * create.h
 *	  Build a continuous view out of ordinary relations, and check one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_CREATE_H
#define WEIR_CREATE_H

#include "base/compat.h"
#include "catalog/catalog.h"
#include "commands/viewoption.h"
#include "window/plan.h"

/* What CREATE MATERIALIZED VIEW and weir.create_view() both ask for. */
typedef struct WeirCreateView
{
	RangeVar   *name;
	List	   *column_names;	/* of String, or NIL */
	bool		if_not_exists;
	bool		with_data;		/* false: create it paused */
	Query	   *query;			/* analysed */
	const char *source_text;	/* for error positions, or NULL */
	WeirViewOptions options;
} WeirCreateView;

/*
 * Create a continuous view as the current user.  Returns its oid, or
 * InvalidOid if IF NOT EXISTS found one (with a NOTICE).  Raises whatever
 * the plan refuses, DUPLICATE_TABLE, INSUFFICIENT_PRIVILEGE, and
 * OBJECT_NOT_IN_PREREQUISITE_STATE when the library is not preloaded.  Needs
 * a transaction.
 */
extern Oid	weir_view_create(WeirCreateView *create);

/*
 * All that weir_view_create() does before it creates anything: raises what
 * it would raise.  Returns the plan, and the schema to create in; NULL if IF
 * NOT EXISTS found a relation (with a NOTICE).  Needs a transaction.
 */
extern WeirPlan *weir_view_prepare(WeirCreateView *create, Oid *schema);

/*
 * Make v again, by CREATE OR REPLACE, after emit has changed.  Needs a
 * transaction; takes ACCESS EXCLUSIVE on the view.
 */
extern void weir_view_rebuild(const WeirView *view);

/*
 * Check that the relations of a view are whole, as a dump may have restored
 * them: v is no stub and reads exactly the recorded relations, and the
 * segments belong to the extension's owner.  Raises
 * OBJECT_NOT_IN_PREREQUISITE_STATE that says why not.  Needs a transaction.
 */
extern void weir_view_check_restored(Oid view);

#endif							/* WEIR_CREATE_H */
