/*-------------------------------------------------------------------------
 *
 * maintain.h
 *	  weir.maintain(): what is too old goes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_MAINTAIN_H
#define WEIR_MAINTAIN_H

#include "base/compat.h"
#include "catalog/catalog.h"
#include "nodes/pg_list.h"

/*
 * What weir.why() says of maintenance: rows that are not there any more, and
 * closed windows that should not be.  NIL if there is nothing to say.  Never
 * waits for a lock.  Needs a transaction.
 */
extern List *weir_maintain_sentences(const WeirView *view);

#endif							/* WEIR_MAINTAIN_H */
