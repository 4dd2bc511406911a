/*
 * unicode.h - what Unicode says about characters and texts, as far as posts and reactions ask.
 *
 * For:     texts that are the same but for case and composition; is it one emoji; is it a letter. Unicode 15, by utf8proc.
 * Not for: UTF-8 itself, lengths, names (wire/utf8.h); compatibility forms (full-width letters stay such); languages (no Turkish rules).
 * Threads: any; pure.
 * Memory:  results are in the given arena. Errors: ERR_INVALID for text that is not UTF-8, ERR_LIMIT for too much of it or a full arena.
 */
#ifndef GUILD_SOCIAL_UNICODE_H
#define GUILD_SOCIAL_UNICODE_H

#include "base/arena.h"

enum { UNICODE_EMOJI_BYTES_MAX = 64 };

enum unicode_kind {
	UNICODE_OTHER,
	UNICODE_SPACE,  /* separates: Zs, Zl, Zp, and the white space among the controls */
	UNICODE_LETTER, /* L and Nl (ideographic zero, Roman numerals); not the Hangul fillers, which nobody sees */
	UNICODE_MARK,   /* Mn and Mc that are seen; an enclosing mark (the keycap) is none */
	UNICODE_UNSEEN, /* marks that are not: variation selectors, the grapheme joiner */
	UNICODE_DIGIT,  /* Nd */
};

enum unicode_kind unicode_kind_of(uint32_t code_point);
/* Of a script that is written without spaces between words, or whose particles cling to foreign words: Han, Kana, Hangul, Thai, Lao,
 * Khmer, Myanmar. */
bool unicode_is_unspaced(uint32_t code_point);
/* Of a script in which ZERO WIDTH JOINER and NON-JOINER change what is read: Arabic and its neighbours, the Indic ones, Khmer, Mongolian. */
bool unicode_takes_joiners(uint32_t code_point);

/* Two texts fold alike when they are canonical caseless matches (Unicode 15, 3.13, D145); the result is in NFC:
 * NFC(casefold(NFD(text))). Folding again changes nothing. At most LIMIT_FOLD_CHARS code points. */
enum err unicode_fold(struct str text, struct arena *arena, struct str *out) MUST_USE;

/* Exactly one emoji of at most UNICODE_EMOJI_BYTES_MAX bytes, by the grammar of UTS #51, 1.4.9 (ED-17), over Extended_Pictographic:
 * with skin tone, VARIATION SELECTOR-16 or joined to others by ZWJ; flags of two regional indicators; flags by tags; keycaps.
 * A character that is text unless marked and lies below U+2190 needs the selector: a bare (c) or (tm) sign is none. Code points
 * kept free for pictographs count, so that an emoji newer than the library is one. Parts are none: a skin tone, a lone regional
 * indicator, a ZWJ. */
bool unicode_is_one_emoji(struct str text);

#endif
