/*-------------------------------------------------------------------------
 *
 * why.h
 *	  Why is there no output?  In plain sentences.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_WHY_H
#define WEIR_WHY_H

#include "base/compat.h"
#include "catalog/catalog.h"

/*
 * Sentences about what a view is doing and what it waits for, each with what
 * to type where something can be done; a list of C strings, never empty.
 * Needs a transaction; asks no broker.
 */
extern List *weir_why_sentences(const WeirView *view);

#endif							/* WEIR_WHY_H */
