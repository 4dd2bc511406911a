/* fault_plan.c - the text of a plan of faults, and the file that may hold it. */
#include "base/fault_plan.h"

#ifdef GUILD_FAILPOINTS

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* The word's place; count when it is none of them. */
static unsigned word_find(const char *const *words, unsigned count, struct str word)
{
	unsigned i = 0;

	while (i < count && !str_eq(str_of(words[i]), word)) {
		i++;
	}
	return i;
}

/* "kind", "kind@n", "kind@n+", "kind#n", "kind#n+" */
static bool rule_parse(const struct fault_plan_words *words, struct str text, struct fault_plan_rule *out)
{
	bool of_bytes = str_find_byte(text, '#') >= 0;
	struct str word;
	bool onwards;

	(void)str_split(&text, of_bytes ? '#' : '@', &word);
	*out = (struct fault_plan_rule){word_find(words->kinds, words->kind_count, word), of_bytes, 1, UINT64_MAX};
	if (out->kind == 0 || out->kind == words->kind_count || (of_bytes && !words->counts_bytes)) {
		return false;
	}
	if (text.at == NULL) {
		return true;
	}
	onwards = text.len > 0 && text.at[text.len - 1] == '+';
	if (!str_to_u64(str_sub(text, 0, text.len - (onwards ? 1 : 0)), &out->from)) {
		return false;
	}
	out->to = onwards ? UINT64_MAX : out->from;
	return out->from > 0 || of_bytes;
}

bool fault_plan_parse(const struct fault_plan_words *words, struct str text, struct fault_plan_rule *rules)
{
	struct str part;

	memset(rules, 0, words->access_count * sizeof(*rules));
	while (text.len > 0) {
		struct str name;
		unsigned access = words->access_count;
		(void)str_split(&text, ',', &part);
		if (str_split(&part, '=', &name)) {
			access = word_find(words->accesses, words->access_count, name);
		}
		if (access == words->access_count || !rule_parse(words, part, &rules[access])) {
			return false;
		}
	}
	return true;
}

struct str fault_plan_read(const char *path, char text[FAULT_PLAN_BYTES])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd >= 0 ? read(fd, text, FAULT_PLAN_BYTES - 1) : 0;

	if (fd >= 0) {
		close(fd);
	}
	return str_trim(str_make(text, got > 0 ? (size_t)got : 0));
}

#endif
