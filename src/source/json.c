/*-------------------------------------------------------------------------
 *
 * json.c
 *	  A strict scanner of one JSON text.
 *
 * One pass over the text checks all of it and remembers where the wanted
 * fields are; nothing is built for the others, and nothing is allocated.
 *
 * The verdict on any bytes is that of convert_from(bytes, 'UTF8')::jsonb in
 * a UTF8 database, down to the SQLSTATE:
 *
 *	22021	the text is not valid UTF-8, or has a zero byte; looked at before
 *			anything else, as the server does
 *	22P02	no JSON text; also a lone or misplaced surrogate
 *	22P05	\u0000 in a string or key
 *	22003	a number that numeric cannot hold
 *
 * and beyond it
 *
 *	54001	nested deeper than WEIR_JSON_MAX_DEPTH (the server's own limit
 *			depends on its stack)
 *	22023	a JSON text that is not an object
 *
 * Of several faults the server reports the first, with one twist that is kept
 * here: its parser sees a token, and only then converts the number before it.
 * So the token after a number that is too large, and a token in the wrong
 * place, are first checked for faults of their own; see check_token().
 *
 * Of equal keys, however they are spelt, the last one wins with all that is
 * inside it.  A path that meets anything but an object on its way is ABSENT.
 *
 *-------------------------------------------------------------------------
 */
#include "source/json.h"

#include <limits.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "source/value.h"

/* numeric's limits: decimal places, and digits before the point */
#define NUMERIC_SCALE_MAX	16383
#define NUMERIC_DIGITS_MAX	131072

/* An object or array that is open */
typedef struct Level
{
	int			node;
	bool		object;
} Level;

typedef struct Scan
{
	const WeirJsonShape *shape;
	WeirJsonValue *values;
	const char *start;
	const char *end;
	WeirJsonError *error;
	int			depth;
	Level		levels[WEIR_JSON_MAX_DEPTH];
} Scan;

/*---- Characters ----*/

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* What would run on from a number or a word, as the server's lexer sees it */
static inline bool
is_word(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		c == '_' || ((unsigned char) c & 0x80);
}

static inline const char *
skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	return p;
}

static inline const char *
skip_digits(const char *p, const char *end)
{
	while (p < end && is_digit(*p))
		p++;
	return p;
}

/*
 * Skip what stands for itself in a string: ASCII but quote, backslash and
 * control characters.
 */
static inline const char *
skip_plain(const char *p, const char *end)
{
#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"');
	const __m128i backslash = _mm_set1_epi8('\\');
	const __m128i space = _mm_set1_epi8(' ');

	while (end - p >= 16)
	{
		__m128i		bytes = _mm_loadu_si128((const __m128i *) p);
		__m128i		stop;
		int			mask;

		/* the signed comparison also stops at bytes beyond ASCII */
		stop = _mm_or_si128(_mm_cmpeq_epi8(bytes, quote),
							_mm_cmpeq_epi8(bytes, backslash));
		stop = _mm_or_si128(stop, _mm_cmplt_epi8(bytes, space));
		mask = _mm_movemask_epi8(stop);
		if (mask != 0)
			return p + __builtin_ctz((unsigned int) mask);
		p += 16;
	}
#endif
	while (p < end && *p != '"' && *p != '\\' &&
		   (unsigned char) *p >= 0x20 && (unsigned char) *p < 0x80)
		p++;
	return p;
}

/* Read four hexadecimal digits; -1 when they are not. */
static int
read_hex4(const char *p)
{
	int			code = 0;

	for (int i = 0; i < 4; i++)
	{
		char		c = p[i];

		if (is_digit(c))
			code = code * 16 + (c - '0');
		else if (c >= 'a' && c <= 'f')
			code = code * 16 + (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			code = code * 16 + (c - 'A' + 10);
		else
			return -1;
	}
	return code;
}

static inline bool
is_high_surrogate(int code)
{
	return code >= 0xD800 && code <= 0xDBFF;
}

static inline bool
is_low_surrogate(int code)
{
	return code >= 0xDC00 && code <= 0xDFFF;
}

/*---- Unescaping ----*/

/* Write a code point as UTF-8 and return behind it. */
static char *
put_utf8(char *out, uint32_t code)
{
	if (code < 0x80)
		*out++ = (char) code;
	else if (code < 0x800)
	{
		*out++ = (char) (0xC0 | (code >> 6));
		*out++ = (char) (0x80 | (code & 0x3F));
	}
	else if (code < 0x10000)
	{
		*out++ = (char) (0xE0 | (code >> 12));
		*out++ = (char) (0x80 | ((code >> 6) & 0x3F));
		*out++ = (char) (0x80 | (code & 0x3F));
	}
	else
	{
		*out++ = (char) (0xF0 | (code >> 18));
		*out++ = (char) (0x80 | ((code >> 12) & 0x3F));
		*out++ = (char) (0x80 | ((code >> 6) & 0x3F));
		*out++ = (char) (0x80 | (code & 0x3F));
	}
	return out;
}

/*
 * Write what the escape at p (its backslash) stands for, advance *out, and
 * return behind the escape.  The escape is one that scan_escape() let pass.
 */
static const char *
unescape_one(const char *p, char **out)
{
	static const char from[] = "bfnrt";
	static const char to[] = "\b\f\n\r\t";
	const char *found;
	int			code;

	if (p[1] != 'u')
	{
		found = strchr(from, p[1]);
		*(*out)++ = found != NULL ? to[found - from] : p[1];
		return p + 2;
	}
	code = read_hex4(p + 2);
	p += 6;
	if (is_high_surrogate(code))
	{
		code = 0x10000 + ((code - 0xD800) << 10) + (read_hex4(p + 2) - 0xDC00);
		p += 6;
	}
	*out = put_utf8(*out, (uint32_t) code);
	return p;
}

/*
 * weir_json_unescape
 *		Write the text that the inside of a JSON string stands for, and return
 *		its length, which is never more than len; out has room for len bytes.
 *
 * The string must be one that weir_json_scan() gave.
 */
size_t
weir_json_unescape(const char *raw, size_t len, char *out)
{
	const char *end = raw + len;
	char	   *start = out;

	while (raw < end)
	{
		const char *stop = memchr(raw, '\\', (size_t) (end - raw));
		size_t		run = (size_t) ((stop != NULL ? stop : end) - raw);

		memcpy(out, raw, run);
		out += run;
		raw += run;
		if (stop != NULL)
			raw = unescape_one(raw, &out);
	}
	return (size_t) (out - start);
}

/*---- Errors ----*/

/* Remember the fault and return NULL, for the caller to return. */
static const char *
fail(Scan *scan, const char *at, const char *sqlstate, const char *reason)
{
	memcpy(scan->error->sqlstate, sqlstate, sizeof(scan->error->sqlstate));
	scan->error->reason = reason;
	scan->error->position = (size_t) (at - scan->start);
	return NULL;
}

static const char *
fail_syntax(Scan *scan, const char *at, const char *reason)
{
	return fail(scan, at, "22P02", at < scan->end ? reason :
				"JSON text ends too early");
}

/*---- Tokens ----*/

/*
 * Check the \u escape at p (its backslash), with the second half of a
 * surrogate pair, and return behind it.
 */
static const char *
scan_unicode_escape(Scan *scan, const char *p)
{
	int			code = scan->end - p >= 6 ? read_hex4(p + 2) : -1;

	if (code < 0)
		return fail(scan, p, "22P02", "\\u is not followed by four "
					"hexadecimal digits");
	if (code == 0)
		return fail(scan, p, "22P05", "\\u0000 cannot be stored in text");
	if (is_low_surrogate(code))
		return fail(scan, p, "22P02", "low surrogate without a high one");
	if (!is_high_surrogate(code))
		return p + 6;
	if (scan->end - p < 12 || p[6] != '\\' || p[7] != 'u' ||
		!is_low_surrogate(read_hex4(p + 8)))
		return fail(scan, p, "22P02", "high surrogate without a low one");
	return p + 12;
}

/* Check the escape at p (its backslash) and return behind it. */
static const char *
scan_escape(Scan *scan, const char *p)
{
	if (scan->end - p < 2)
		return fail_syntax(scan, scan->end, "");
	switch (p[1])
	{
		case '"':
		case '\\':
		case '/':
		case 'b':
		case 'f':
		case 'n':
		case 'r':
		case 't':
			return p + 2;
		case 'u':
			return scan_unicode_escape(scan, p);
		default:
			return fail(scan, p, "22P02", "invalid escape in a string");
	}
}

/* Check a string from behind its opening quote; return its closing quote. */
static inline const char *
scan_string(Scan *scan, const char *p, bool *escaped)
{
	const char *end = scan->end;
	int			length;

	*escaped = false;
	for (;;)
	{
		p = skip_plain(p, end);
		if (p == end)
			return fail_syntax(scan, end, "");
		if (*p == '"')
			return p;
		if (*p == '\\')
		{
			*escaped = true;
			p = scan_escape(scan, p);
			if (p == NULL)
				return NULL;
		}
		else if ((unsigned char) *p < 0x20)
			return fail(scan, p, "22P02", "control character in a string");
		else
		{
			do
			{
				length = weir_value_utf8_length(p, end);
				if (length == 0)
					return fail(scan, p, "22021", "invalid UTF-8");
				p += length;
			} while (p < end && ((unsigned char) *p & 0x80));
		}
	}
}

/* Check a number's syntax and return behind it. */
static inline const char *
scan_number(Scan *scan, const char *start, bool *exponent)
{
	const char *end = scan->end;
	const char *p = start + (*start == '-' ? 1 : 0);
	const char *digits = p;

	*exponent = false;
	p = skip_digits(p, end);
	if (p == digits || (*digits == '0' && p > digits + 1))
		return fail(scan, start, "22P02", "invalid number");
	if (p < end && *p == '.')
	{
		digits = ++p;
		p = skip_digits(p, end);
		if (p == digits)
			return fail(scan, start, "22P02", "invalid number");
	}
	if (p < end && (*p == 'e' || *p == 'E'))
	{
		*exponent = true;
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		digits = p;
		p = skip_digits(p, end);
		if (p == digits)
			return fail(scan, start, "22P02", "invalid number");
	}
	if (p < end && is_word(*p))
		return fail(scan, start, "22P02", "invalid number");
	return p;
}

/* Read an exponent behind its e, limited to beyond what numeric takes. */
static long
read_exponent(const char *p, const char *end)
{
	bool		negative = *p == '-';
	long		exponent = 0;

	if (*p == '-' || *p == '+')
		p++;
	for (; p < end && exponent < INT_MAX / 2; p++)
		exponent = exponent * 10 + (*p - '0');
	return negative ? -exponent : exponent;
}

/*
 * Tell whether numeric can hold the number: numeric_in counts decimal places
 * even of a zero, and refuses an absurd exponent even of a zero.
 */
static bool
number_in_range(const char *p, const char *end)
{
	const char *point = NULL;
	long		before = 0;		/* digits before the point, leading 0 too */
	long		places = 0;
	long		leading = -1;	/* place of the first digit but 0 */
	long		exponent = 0;

	for (p += (*p == '-' ? 1 : 0); p < end; p++)
	{
		if (*p == 'e' || *p == 'E')
		{
			exponent = read_exponent(p + 1, end);
			break;
		}
		if (*p == '.')
		{
			point = p;
			continue;
		}
		if (*p != '0' && leading < 0)
			leading = before + places;
		if (point == NULL)
			before++;
		else
			places++;
	}
	if (exponent >= INT_MAX / 2 || exponent <= -(INT_MAX / 2))
		return false;
	if (places - exponent > NUMERIC_SCALE_MAX)
		return false;
	return leading < 0 || before - leading + exponent <= NUMERIC_DIGITS_MAX;
}

/* Tell whether the digits of a number without exponent are all zeros. */
static bool
is_zero(const char *p, const char *end)
{
	while (p < end && (*p == '0' || *p == '.'))
		p++;
	return p == end;
}

/* Check for one of the three words and return behind it. */
static inline const char *
scan_word(Scan *scan, const char *p, WeirJsonKind *kind)
{
	size_t		room = (size_t) (scan->end - p);
	size_t		len = 4;

	if (room >= 4 && memcmp(p, "true", 4) == 0)
		*kind = WEIR_JSON_TRUE;
	else if (room >= 4 && memcmp(p, "null", 4) == 0)
		*kind = WEIR_JSON_NULL;
	else if (room >= 5 && memcmp(p, "false", 5) == 0)
	{
		*kind = WEIR_JSON_FALSE;
		len = 5;
	}
	else
		return fail_syntax(scan, p, "invalid token");
	if (room > len && is_word(p[len]))
		return fail_syntax(scan, p, "invalid token");
	return p + len;
}

/*
 * Check the token at p for faults of its own; NULL when it has one.  The end
 * of the text is a token without fault.
 */
static const char *
check_token(Scan *scan, const char *p)
{
	WeirJsonKind kind;
	bool		ignored;

	p = skip_space(p, scan->end);
	if (p == scan->end || strchr("{}[],:", *p) != NULL)
		return p;
	if (*p == '"')
		return scan_string(scan, p + 1, &ignored);
	if (*p == '-' || is_digit(*p))
		return scan_number(scan, p, &ignored);
	return scan_word(scan, p, &kind);
}

/* Report the token at p, which is in the wrong place. */
static const char *
fail_token(Scan *scan, const char *p, const char *reason)
{
	if (check_token(scan, p) == NULL)
		return NULL;
	return fail_syntax(scan, p, reason);
}

/*---- Values ----*/

/* Set every field of a node. */
static inline void
record(Scan *scan, int node, const WeirJsonValue *value)
{
	const WeirJsonShape *shape = scan->shape;

	if (node == WEIR_JSON_NO_NODE)
		return;
	for (int f = shape->nodes[node].field; f != WEIR_JSON_NO_FIELD;
		 f = shape->next_field[f])
		scan->values[f] = *value;
}

/* Forget what an earlier, equal key had below it. */
static void
forget_below(Scan *scan, int node)
{
	WeirJsonValue absent = {.kind = WEIR_JSON_ABSENT};

	for (int i = 1; i <= scan->shape->nodes[node].below; i++)
		record(scan, node + i, &absent);
}

/* Tell whether the inside of a JSON string stands for a node's name. */
static bool
escaped_key_is(const WeirJsonNode *node, const char *key, const char *end)
{
	size_t		done = 0;

	while (key < end)
	{
		char		bytes[4];
		char	   *out = bytes;
		size_t		len;

		if (*key == '\\')
			key = unescape_one(key, &out);
		else
			*out++ = *key++;
		len = (size_t) (out - bytes);
		if (node->len - done < len ||
			memcmp(node->name + done, bytes, len) != 0)
			return false;
		done += len;
	}
	return done == node->len;
}

/* Find a child by a key that has escapes. */
static int
find_escaped_child(const WeirJsonShape *shape, const WeirJsonNode *parent,
				   const char *key, size_t len)
{
	for (uint32_t i = 0; i <= parent->table_mask; i++)
	{
		int			child = parent->table[i];

		if (child != WEIR_JSON_NO_NODE &&
			escaped_key_is(&shape->nodes[child], key, key + len))
			return child;
	}
	return WEIR_JSON_NO_NODE;
}

/*
 * Scan a key and its colon; return where its value begins, with the node that
 * wants it.
 */
static inline const char *
scan_key(Scan *scan, const char *p, int parent, int *node)
{
	const WeirJsonShape *shape = scan->shape;
	const char *key = p + 1;
	bool		escaped;

	*node = WEIR_JSON_NO_NODE;
	if (p == scan->end || *p != '"')
		return fail_token(scan, p, "expected a key");
	p = scan_string(scan, key, &escaped);
	if (p == NULL)
		return NULL;
	if (parent != WEIR_JSON_NO_NODE && shape->nodes[parent].table != NULL)
	{
		if (!escaped)
			*node = weir_json_shape_find(shape, &shape->nodes[parent], key,
										 (size_t) (p - key), scan->end);
		else
			*node = find_escaped_child(shape, &shape->nodes[parent], key,
									   (size_t) (p - key));
		if (*node != WEIR_JSON_NO_NODE && shape->nodes[*node].below > 0)
			forget_below(scan, *node);
	}
	p = skip_space(p + 1, scan->end);
	if (p == scan->end || *p != ':')
		return fail_token(scan, p, "expected a colon");
	return skip_space(p + 1, scan->end);
}

/* Scan a number and check its range. */
static inline const char *
scan_number_value(Scan *scan, const char *start, WeirJsonValue *value)
{
	bool		exponent;
	const char *p = scan_number(scan, start, &exponent);

	if (p == NULL)
		return NULL;
	if ((exponent || p - start > NUMERIC_SCALE_MAX) &&
		!number_in_range(start, p))
	{
		if (check_token(scan, p) == NULL)
			return NULL;
		return fail(scan, start, "22003", "number out of range");
	}
	value->kind = WEIR_JSON_NUMBER;
	value->plain = !exponent && !(*start == '-' && is_zero(start + 1, p));
	return p;
}

/* Scan a string, number or word at p and return behind it. */
static inline const char *
scan_scalar(Scan *scan, const char *p, int node)
{
	WeirJsonValue value = {.start = p};

	if (p == scan->end)
		return fail_syntax(scan, p, "");
	if (*p == '"')
	{
		value.kind = WEIR_JSON_STRING;
		value.start = p + 1;
		p = scan_string(scan, p + 1, &value.escaped);
		if (p == NULL)
			return NULL;
		value.len = (size_t) (p - value.start);
		p++;
	}
	else
	{
		if (*p == '-' || is_digit(*p))
			p = scan_number_value(scan, p, &value);
		else
			p = scan_word(scan, p, &value.kind);
		if (p == NULL)
			return NULL;
		value.len = (size_t) (p - value.start);
	}
	record(scan, node, &value);
	return p;
}

/*---- Objects and arrays ----*/

/*
 * Open the object or array at p.  Return where its first value begins, with
 * the node that wants it, or its closing bracket and *empty.
 */
static inline const char *
open_container(Scan *scan, const char *p, int *node, bool *empty)
{
	bool		object = *p == '{';
	Level	   *level = &scan->levels[scan->depth];
	WeirJsonValue value = {.start = p};

	if (scan->depth == WEIR_JSON_MAX_DEPTH)
		return fail(scan, p, "54001", "JSON text is nested too deep");
	scan->depth++;
	level->node = *node;
	level->object = object;
	value.kind = object ? WEIR_JSON_OBJECT : WEIR_JSON_ARRAY;
	record(scan, *node, &value);

	p = skip_space(p + 1, scan->end);
	*empty = p < scan->end && *p == (object ? '}' : ']');
	if (*empty)
		return p;
	if (object)
		return scan_key(scan, p, level->node, node);
	*node = WEIR_JSON_NO_NODE;
	return p;
}

/* Close the innermost object or array, whose bracket is right before p. */
static inline void
close_container(Scan *scan, const char *p)
{
	const WeirJsonShape *shape = scan->shape;
	int			node = scan->levels[--scan->depth].node;

	if (node == WEIR_JSON_NO_NODE)
		return;
	for (int f = shape->nodes[node].field; f != WEIR_JSON_NO_FIELD;
		 f = shape->next_field[f])
		scan->values[f].len = (size_t) (p - scan->values[f].start);
}

/*
 * Go on behind a value: close what ends here, and return where the next value
 * begins, with the node that wants it; or, at depth 0, the end of the whole.
 */
static inline const char *
next_value(Scan *scan, const char *p, int *node)
{
	while (scan->depth > 0)
	{
		const Level *level = &scan->levels[scan->depth - 1];

		p = skip_space(p, scan->end);
		if (p < scan->end && *p == ',')
		{
			p = skip_space(p + 1, scan->end);
			if (level->object)
				return scan_key(scan, p, level->node, node);
			*node = WEIR_JSON_NO_NODE;
			return p;
		}
		if (p == scan->end || *p != (level->object ? '}' : ']'))
			return fail_token(scan, p, "expected a comma or the closing "
							  "bracket");
		p++;
		close_container(scan, p);
	}
	return p;
}

/* Scan one JSON value at p with all inside it, and return behind it. */
static const char *
scan_text(Scan *scan, const char *p)
{
	int			node = WEIR_JSON_ROOT;
	bool		empty;

	for (;;)
	{
		if (p < scan->end && (*p == '{' || *p == '['))
		{
			p = open_container(scan, p, &node, &empty);
			if (p == NULL)
				return NULL;
			if (!empty)
				continue;
		}
		else
		{
			p = scan_scalar(scan, p, node);
			if (p == NULL)
				return NULL;
		}
		p = next_value(scan, p, &node);
		if (p == NULL || scan->depth == 0)
			return p;
	}
}

/* Scan the whole text; NULL when it is bad. */
static const char *
scan_object_text(Scan *scan)
{
	const char *first = skip_space(scan->start, scan->end);
	const char *p = scan_text(scan, first);

	if (p == NULL)
		return NULL;
	p = skip_space(p, scan->end);
	if (p < scan->end)
		return fail_token(scan, p, "expected the end of the text");
	if (*first != '{')
		return fail(scan, first, "22023", "not a JSON object");
	return p;
}

/*
 * weir_json_scan
 *		Check a JSON text and find the wanted fields in it.
 *
 * On true, values (as many as the shape has fields, in their order) is filled;
 * its spans point into buf.  On false, error is filled and values undefined.
 */
bool
weir_json_scan(const WeirJsonShape *shape, const char *buf, size_t len,
			   WeirJsonValue *values, WeirJsonError *error)
{
	Scan		scan;
	size_t		valid;

	scan.shape = shape;
	scan.values = values;
	scan.start = buf;
	scan.end = buf + len;
	scan.error = error;
	scan.depth = 0;
	memset(values, 0, (size_t) shape->nfields * sizeof(WeirJsonValue));
	if (scan_object_text(&scan) != NULL)
		return true;

	/* the server would not even have looked at a text of invalid UTF-8 */
	valid = weir_value_utf8_prefix(buf, len);
	if (valid < len)
		fail(&scan, buf + valid, "22021", "invalid UTF-8");
	return false;
}

/*---- Members of an object that was scanned ----*/

/* Return behind the string whose opening quote is at p. */
static const char *
pass_string(const char *p, WeirJsonValue *value)
{
	value->kind = WEIR_JSON_STRING;
	value->start = ++p;
	value->escaped = false;
	for (; *p != '"'; p++)
	{
		if (*p != '\\')
			continue;
		value->escaped = true;
		p++;
	}
	value->len = (size_t) (p - value->start);
	return p + 1;
}

/* Return behind the object or array that begins at p. */
static const char *
pass_container(const char *p, WeirJsonValue *value)
{
	WeirJsonValue inside;
	int			depth = 0;

	value->kind = *p == '{' ? WEIR_JSON_OBJECT : WEIR_JSON_ARRAY;
	value->start = p;
	do
	{
		if (*p == '"')
		{
			p = pass_string(p, &inside);
			continue;
		}
		if (*p == '{' || *p == '[')
			depth++;
		else if (*p == '}' || *p == ']')
			depth--;
		p++;
	} while (depth > 0);
	value->len = (size_t) (p - value->start);
	return p;
}

/* Return behind the number or word that begins at p. */
static const char *
pass_word(const char *p, const char *end, WeirJsonValue *value)
{
	bool		exponent = false;

	value->kind = *p == 't' ? WEIR_JSON_TRUE : *p == 'f' ? WEIR_JSON_FALSE :
		*p == 'n' ? WEIR_JSON_NULL : WEIR_JSON_NUMBER;
	value->start = p;
	for (; p < end && (is_word(*p) || *p == '.' || *p == '-' || *p == '+'); p++)
		exponent |= *p == 'e' || *p == 'E';
	value->len = (size_t) (p - value->start);
	value->plain = value->kind == WEIR_JSON_NUMBER && !exponent &&
		!(*value->start == '-' && is_zero(value->start + 1, p));
	return p;
}

/*
 * weir_json_members
 *		Begin to walk over the members of a JSON object.
 *
 * The text must be one that weir_json_scan() has let pass.
 */
void
weir_json_members(WeirJsonMembers *members, const char *buf, size_t len)
{
	members->end = buf + len;
	members->at = skip_space(buf, members->end) + 1;
}

/*
 * weir_json_next_member
 *		Give the next member as it stands in the text, equal keys included;
 *		false behind the last one.
 *
 * The key is a string; the spans point into the text.
 */
bool
weir_json_next_member(WeirJsonMembers *members, WeirJsonValue *key,
					  WeirJsonValue *value)
{
	const char *end = members->end;
	const char *p = skip_space(members->at, end);

	if (*p == ',')
		p = skip_space(p + 1, end);
	if (*p == '}')
		return false;
	memset(key, 0, sizeof(*key));
	memset(value, 0, sizeof(*value));
	p = skip_space(pass_string(p, key), end);
	p = skip_space(p + 1, end);
	if (*p == '"')
		p = pass_string(p, value);
	else if (*p == '{' || *p == '[')
		p = pass_container(p, value);
	else
		p = pass_word(p, end, value);
	members->at = p;
	return true;
}
