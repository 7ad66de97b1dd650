/*-------------------------------------------------------------------------
 *
 * holder.h
 *	  Which session keeps space from being reclaimed?
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_HOLDER_H
#define WEIR_HOLDER_H

#include "base/compat.h"
#include "catalog/catalog.h"

/*
 * A sentence about who keeps dead segments of a view from being given back,
 * with what to type; NULL if nobody does, or there is space enough.  Needs a
 * transaction.
 */
extern char *weir_holder_sentence(const WeirView *view);

#endif							/* WEIR_HOLDER_H */
