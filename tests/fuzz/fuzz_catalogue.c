/* fuzz_catalogue.c - a catalogue of models is read whole or refused with its line; what was read is found again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "provider/catalogue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct catalogue *catalogue;
	char detail[512] = "";
	if (catalogue_parse(str_make(data, size), "f", &catalogue, detail) != ERR_OK) {
		if (catalogue != NULL || strncmp(detail, "f:", 2) != 0) {
			abort();
		}
		return 0;
	}
	for (size_t i = 0; i < catalogue_count(catalogue); i++) {
		const struct catalogue_model *model = catalogue_at(catalogue, i);
		if (catalogue_find(catalogue, model->provider, model->model) != model || model->price.cached > model->price.in) {
			abort();
		}
	}
	catalogue_destroy(&catalogue);
	return 0;
}
