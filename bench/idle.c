/*
 * idle.c - opens WebSockets that then say nothing, tells how long it took, and keeps them until its input ends.
 *
 *   idle --address A --token T [--connections N]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"

int main(int argc, char **argv)
{
	const char *address = option_text(argc, argv, "address", "127.0.0.1:8420");
	const char *token = option_text(argc, argv, "token", NULL);
	int count = (int)option_number(argc, argv, "connections", 5000);
	char end;
	files_raise();
	int64_t begin = now_ns();
	for (int i = 0; i < count; i++) {
		ws_connect(address, "/v1/ws", token, "guild.v1");
	}
	printf("{\"connections\":%d,\"seconds\":%.3f}\n", count, (double)(now_ns() - begin) / 1e9);
	fflush(stdout);
	while (read(0, &end, 1) > 0) {
	}
	return 0;
}
