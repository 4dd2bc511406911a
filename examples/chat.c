/*
 * chat.c - one question to the default agent, its answer printed while it comes.
 *
 *     cc chat.c $(pkg-config --cflags --libs guild) -o chat && ./chat ./var "hello"
 */
#include <stdio.h>

#include <guild.h>

/* An event's data is JSON; a real program would read its member "delta". */
static void show(void *ctx, const char *type, const char *data, size_t data_len)
{
	(void)ctx;
	printf("%s %.*s\n", type, (int)data_len, data);
}

int main(int argc, char **argv)
{
	struct guild_handle *guild;
	struct guild_reply reply;
	char detail[GUILD_DETAIL_BYTES];

	if (argc != 3) {
		fprintf(stderr, "usage: %s DATA_DIRECTORY MESSAGE\n", argv[0]);
		return 2;
	}
	if (guild_open(argv[1], NULL, &guild, detail) != GUILD_OK) {
		fprintf(stderr, "%s\n", detail);
		return 1;
	}
	struct guild_chat chat = {.message = argv[2], .user = "me", .on_event = show};
	int error = guild_chat(guild, &chat, &reply);
	if (error == GUILD_OK) {
		printf("%d %s\n", reply.status, reply.body);
		guild_reply_free(&reply);
	} else {
		fprintf(stderr, "%s\n", guild_error_text(error));
	}
	guild_close(&guild);
	return error == GUILD_OK ? 0 : 1;
}
