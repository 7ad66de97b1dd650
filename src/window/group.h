/*-------------------------------------------------------------------------
 *
 * group.h
 *	  The batch hash: partial states by pane, late bound and keys; of
 *	  sessions, by keys and session.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_GROUP_H
#define WEIR_GROUP_H

#include "base/compat.h"
#include "source/decode.h"
#include "utils/rel.h"
#include "window/plan.h"

typedef struct WeirGroups WeirGroups;

/*
 * An empty hash for a view's plan, in the current memory context (the
 * batch's).
 */
extern WeirGroups *weir_groups_create(const WeirPlan *plan,
									  const WeirStream *stream);

/*
 * Compile the plan's expressions as the current user; again after an error,
 * when nothing that functions keep between calls can be trusted.
 */
extern void weir_groups_prepare(WeirGroups *groups);

/* The record at hand: its columns are what expressions see. */
extern void weir_groups_record(WeirGroups *groups, const WeirRecord *record);

/* Does the record at hand pass WHERE?  May raise. */
extern bool weir_groups_filter(WeirGroups *groups);

/*
 * Add the record at hand to its group in a pane; fresh: on fresh states, as a
 * second partial.  May raise, and then has changed nothing.
 */
extern void weir_groups_add(WeirGroups *groups, TimestampTz pane,
							TimestampTz late_bound, bool fresh);

/*
 * The same for a view of sessions: add the record at hand, whose event time
 * is t, to the session of its keys, or begin one.  Records must come in the
 * order of their times; then no two sessions of a batch touch, but for a
 * fresh one.
 */
extern void weir_groups_add_session(WeirGroups *groups, TimestampTz t,
									bool fresh);

/*
 * After an error: was a transition of an old group running, whose states may
 * be to blame?  Asking resets it.
 */
extern bool weir_groups_was_advancing(WeirGroups *groups);

/*
 * Append all groups to a segment, which the caller has locked, and end the
 * expressions.  Returns the number of rows.
 */
extern int64 weir_groups_flush(WeirGroups *groups, Relation segment);

/*
 * How many rows weir_groups_flush() would append, and about how many bytes
 * they would take.
 */
extern int64 weir_groups_measure(WeirGroups *groups, int64 *bytes);

#endif							/* WEIR_GROUP_H */
