/*-------------------------------------------------------------------------
 *
 * publish.h
 *	  Positions of views, as offsets of consumer groups.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_PUBLISH_H
#define WEIR_PUBLISH_H

#include "base/compat.h"
#include "worker/assign.h"

/*
 * Publish the positions of the views that a reader serves, for lag tools.
 * Opens a transaction of its own to learn their names.  Allocates in the
 * current memory context.
 */
extern void weir_publish_positions(WeirAssignment *assignment);

#endif							/* WEIR_PUBLISH_H */
