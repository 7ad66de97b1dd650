/*-------------------------------------------------------------------------
 *
 * zone.h
 *	  Windows with PostgreSQL's time zones.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_ZONE_H
#define WEIR_ZONE_H

#include "base/compat.h"
#include "nodes/pg_list.h"
#include "window/window.h"

/*
 * Fill in a window of the given kind from the Consts that follow the time in
 * a call of weir.tumble(ts, size, timezone, origin) or
 * weir.hop(ts, size, slide, timezone, origin).  Returns NULL, or why it is
 * refused, a message for the user.
 */
extern const char *weir_window_of_arguments(WeirWindow *window, List *args);

#endif							/* WEIR_ZONE_H */
