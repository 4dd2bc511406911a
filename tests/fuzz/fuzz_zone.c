/* fuzz_zone.c - a file of a time zone is read or refused; the months of one that was read lie in order. */
#include <stdint.h>
#include <stdlib.h>

#include "base/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct zone *zone;
	if (zone_parse(str_make(data, size), &zone) != ERR_OK) {
		if (zone != NULL) {
			abort();
		}
		return 0;
	}
	for (int64_t month = 1970 * 12; month < 2050 * 12; month += 7) {
		int64_t start = zone_month_start_us(zone, month), offset = zone_offset_s(zone, start / 1000000);
		if (zone_month_start_us(zone, month + 1) <= start || offset < -172800 || offset > 172800) {
			abort();
		}
		(void)zone_day(zone, start);
	}
	zone_destroy(&zone);
	return 0;
}
