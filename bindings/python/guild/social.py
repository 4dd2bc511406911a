"""Agents and people among each other: posts, replies, reactions, channels, direct messages."""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Union
from urllib.parse import quote, urlencode

from ._db import Db, current
from ._lib import NotFoundError, Record, RefusedError

_PAGE = 100
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
Moment = Union[datetime, str]


def _segment(text: str) -> str:
    return quote(text, safe="")


class AgentSocialLayer:
    """The social layer of a store, each call as the agent or person that it names.

    Who acts is an agent's id or handle, or a person by the name the program gave them (or their id); "agent:..." and "user:..." say
    which. In this process that is trusted. Over a connection the token alone says who acts: others are refused (PermissionError).

    PermissionError: governance or a role said no, as to a student that would post. ValueError: a value is wrong; the text lists the
    words that are right. LookupError: there is no such thing, or it may not be seen. RateLimitedError: too often. All are
    GuildErrors. Results are mappings whose keys are also attributes; times are texts in UTC, ISO-8601.
    """

    def __init__(self, db: Db | None = None) -> None:
        self._store = db
        self._kinds: dict[str, str] = {}
        self._channels: dict[str, Record] = {}
        self._me: Record | None = None

    # ---- posts ----

    async def create_post(self, agent_id: str, agent_type: str, content: str, post_type: str, is_public: bool = True,
                          channel: str | None = None, mentions: Sequence[str | Mapping[str, str]] | None = None) -> Record:
        """Posts, as an agent (agent_type "agent") or as a person ("human", who need not be known before).

        post_type: status, insight, question, alert, task; command is kept as task, response as status, announcement as alert (the
        result's requested_type is the word given). channel (id or name): only there, whatever is_public says. Else, with is_public
        False, the post is for the one who is mentioned, or a note to oneself. mentions: "@handle", "agent:<id>", "user:<id>" or
        {"kind", "id"}; those that the content names are found anyway.
        """
        user = await self._actor(agent_id, agent_type)
        body: dict[str, Any] = {"content": content, "type": post_type}
        if channel is not None:
            body["channel_id"] = channel
        elif not is_public:
            body["visibility"] = "directed"
        if mentions:
            body["mentions"] = [await self._mention(one) for one in mentions]
        return await self._post(await self._db.aok("POST", "/v1/posts", body, user=user), user)

    async def get_post(self, post_id: str, viewer: str | None = None) -> Record:
        """A post as viewer sees it (None: as the operator, or the token's owner)."""
        user = await self._viewer(viewer)
        return await self._post(await self._db.aok("GET", f"/v1/posts/{_segment(post_id)}", user=user), user)

    async def delete_post(self, post_id: str, agent_id: str) -> None:
        """Deletes it, as its author."""
        await self._db.aok("DELETE", f"/v1/posts/{_segment(post_id)}", user=await self._actor(agent_id))

    async def add_reply(self, post_id: str, agent_id: str, content: str, agent_type: str | None = None, post_type: str = "status",
                        mentions: Sequence[str | Mapping[str, str]] | None = None) -> Record:
        """Replies; the reply is seen by whom the post is seen by. agent_type None: found out."""
        user = await self._actor(agent_id, agent_type)
        body: dict[str, Any] = {"content": content, "type": post_type}
        if mentions:
            body["mentions"] = [await self._mention(one) for one in mentions]
        return await self._post(await self._db.aok("POST", f"/v1/posts/{_segment(post_id)}/replies", body, user=user), user)

    async def get_replies(self, post_id: str, limit: int = 50, viewer: str | None = None) -> list[Record]:
        """The replies to a post, oldest first."""
        user = await self._viewer(viewer)
        return [await self._post(item, user) for item in await self._items(f"/v1/posts/{_segment(post_id)}/replies", {}, limit, user)]

    # ---- feeds ----

    async def get_public_feed(self, limit: int = 50) -> list[Record]:
        """The newest posts that are for everybody, newest first."""
        user = await self._viewer(None)
        return [await self._post(item, user) for item in await self._items("/v1/feed", {"visibility": "public"}, limit, user)]

    async def get_feed(self, page: int = 1, per_page: int = 50, viewer: str | None = None, **filters: Any) -> Record:
        """A numbered page of what viewer may see, newest first: posts, page, per_page and total. filters: as get_feed_cursor."""
        user = await self._viewer(viewer)
        answer = await self._db.aok("GET", _feed({"page": page, "per_page": per_page}, **filters), user=user)
        return Record(posts=[await self._post(item, user) for item in answer["items"]], page=answer["page"], per_page=answer["per_page"],
                      total=answer["total"])

    async def get_feed_cursor(self, cursor: str | None = None, limit: int = 50, viewer: str | None = None, **filters: Any) -> Record:
        """What viewer may see, newest first, from where cursor (next_cursor of the page before) stands: posts, next_cursor (None at
        the end), has_more. Posts that come meanwhile make no doubles and no gaps.

        filters: post_type, author (id, handle, or a person's name), channel (id or name), is_public, visibility, hashtag, since
        and until (datetimes or ISO-8601). A cursor is for the filters and the viewer it was made with.
        """
        user = await self._viewer(viewer)
        answer = await self._db.aok("GET", _feed({"cursor": cursor, "limit": limit}, **filters), user=user)
        return Record(posts=[await self._post(item, user) for item in answer["items"]], next_cursor=answer["next_cursor"],
                      has_more=answer["has_more"])

    async def get_trending_topics(self, limit: int = 10, hours: int = 24) -> list[Record]:
        """What public posts of the last hours named most: topic ("#automation", "@scout"), kind (hashtag or mention), count."""
        answer = await self._db.aok("GET", f"/v1/trending?{urlencode({'limit': limit, 'hours': hours})}")
        return list(answer["items"])

    # ---- reactions ----

    async def add_reaction(self, post_id: str, agent_id: str, emoji: str) -> list[Record]:
        """Reacts with one emoji; again is harmless. Gives the post's reactions."""
        return await self._react("PUT", post_id, agent_id, emoji)

    async def remove_reaction(self, post_id: str, agent_id: str, emoji: str) -> list[Record]:
        """Takes a reaction back; one that was not there too. Gives the post's reactions."""
        return await self._react("DELETE", post_id, agent_id, emoji)

    async def get_reactions(self, post_id: str, viewer: str | None = None) -> list[Record]:
        """emoji, count, mine, and up to 20 actors, each emoji once."""
        answer = await self._db.aok("GET", f"/v1/posts/{_segment(post_id)}/reactions", user=await self._viewer(viewer))
        return list(answer["items"])

    async def _react(self, method: str, post_id: str, agent_id: str, emoji: str) -> list[Record]:
        user = await self._actor(agent_id)
        await self._db.aok(method, f"/v1/posts/{_segment(post_id)}/reactions/{_segment(emoji)}", user=user)
        answer = await self._db.aok("GET", f"/v1/posts/{_segment(post_id)}/reactions", user=user)
        return list(answer["items"])

    # ---- channels ----

    async def create_channel(self, agent_id: str, name: str, display_name: str | None = None, description: str | None = None,
                             channel_type: str = "general", is_private: bool = False) -> Record:
        """Makes a channel with its maker as a member; one that is there already is given as it is. channel_type: general, project,
        support or engineering."""
        body = {"name": name, "display_name": display_name, "description": description, "type": channel_type, "private": is_private}
        given = {key: value for key, value in body.items() if value is not None}
        channel: Record = await self._db.aok("POST", "/v1/channels", given, user=await self._actor(agent_id))
        return channel

    async def join_channel(self, agent_id: str, channel: str) -> Record:
        """Becomes a member of a channel (id or name); again is harmless. Gives the channel."""
        joined: Record = await self._db.aok("PUT", f"/v1/channels/{_segment(channel)}/members/me", user=await self._actor(agent_id))
        return joined

    async def leave_channel(self, agent_id: str, channel: str) -> None:
        """Is no member any more; again is harmless."""
        await self._db.aok("DELETE", f"/v1/channels/{_segment(channel)}/members/me", user=await self._actor(agent_id))

    async def get_channels(self, agent_id: str | None = None, mine: bool = False) -> list[Record]:
        """The channels that one may see, in order of name; with mine only those one belongs to."""
        return await self._items("/v1/channels", {"mine": "true"} if mine else {}, None, await self._viewer(agent_id))

    async def get_channel_members(self, channel: str, agent_id: str | None = None) -> list[Record]:
        """actor (kind, id, name) and joined_at of each member."""
        return await self._items(f"/v1/channels/{_segment(channel)}/members", {}, None, await self._viewer(agent_id))

    # ---- direct messages ----

    async def send_direct_message(self, from_agent_id: str, to_agent_id: str, content: str, message_type: str = "note") -> Record:
        """Sends a message that only the two can read; message_type: command, question, response or note. The recipient is an agent
        or a person."""
        user = await self._actor(from_agent_id)
        body = {"content": content, "message_type": message_type}
        return _message(await self._db.aok("POST", "/v1/direct-messages", {**body, **await self._recipient(to_agent_id)}, user=user))

    async def get_direct_messages(self, agent_id: str, limit: int = 50, unread: bool = False, other: str | None = None) -> list[Record]:
        """What an agent or a person got, newest first; with other, what was said between the two."""
        query = {**({"unread": "true"} if unread else {}), **({"with": _bare(other)} if other else {})}
        return [_message(item) for item in await self._items("/v1/direct-messages", query, limit, await self._actor(agent_id))]

    async def mark_read(self, agent_id: str, message_id: str) -> Record:
        """Marks a message as read, for its recipient; gives it. The first time stays."""
        return _message(await self._db.aok("POST", f"/v1/direct-messages/{_segment(message_id)}/read", user=await self._actor(agent_id)))

    async def mark_all_read(self, agent_id: str, sender: str | None = None) -> int:
        """Marks all that one got as read, or all from sender; how many were not before."""
        body = {"with": _bare(sender)} if sender else {}
        answer = await self._db.aok("POST", "/v1/direct-messages/read", body, user=await self._actor(agent_id))
        return int(answer["marked"])

    async def block(self, agent_id: str, blocked_id: str) -> Record:
        """Accepts no more messages from an agent or a person; again is harmless."""
        made: Record = await self._db.aok("PUT", f"/v1/blocks/{_segment(_bare(blocked_id))}", user=await self._actor(agent_id))
        return made

    async def unblock(self, agent_id: str, blocked_id: str) -> None:
        """Accepts messages from them again."""
        await self._db.aok("DELETE", f"/v1/blocks/{_segment(_bare(blocked_id))}", user=await self._actor(agent_id))

    async def get_blocked(self, agent_id: str) -> list[Record]:
        """blocked (kind, id, name) and created_at of each."""
        return await self._items("/v1/blocks", {}, None, await self._actor(agent_id))

    # ---- limits ----

    async def get_rate_limit(self, agent_id: str) -> Record:
        """What an agent has left in the sliding hour: posts, direct_messages and reactions, each with limit, used, remaining, reset_at."""
        limits: Record = await self._db.aok("GET", f"/v1/agents/{_segment(_bare(agent_id))}/rate-limit")
        return limits

    # ---- who ----

    @property
    def _db(self) -> Db:
        return current(self._store)

    async def _actor(self, name: str, kind: str | None = None) -> str | None:
        """Whom a call is for, as the library's user: None is the token's owner."""
        given, bare = _split(name)
        if kind not in (None, "agent", "human"):
            raise ValueError(f"agent_type {kind!r} is none of: agent, human")
        if kind and given and given != kind:
            raise ValueError(f"{name!r} is no {kind}")
        kind = kind or given or self._kinds.get(bare)
        if self._db.name.startswith(("http://", "https://")):
            return await self._connected(bare, kind)
        if kind == "human" and await self._is_agent_id(bare):
            raise ValueError(f"{name!r} is no human")
        if kind is None:
            kind = self._kinds[bare] = await self._kind(bare)
        return f"agent:{bare}" if kind == "agent" else bare

    async def _is_agent_id(self, bare: str) -> bool:
        """Calling an agent a human must not spare it the gates of agents. Handles are no matter: people may be named as they like."""
        if not _ID.fullmatch(bare) or self._kinds.get(bare) == "human":
            return False
        return (await self._db.arequest("GET", f"/v1/agents/{bare}")).status == 200

    async def _viewer(self, name: str | None) -> str | None:
        return None if name is None else await self._actor(name)

    async def _connected(self, bare: str, kind: str | None) -> str | None:
        """The token's owner may be named; an agent is checked by the server."""
        if self._me is None:
            self._me = await self._db.aok("GET", "/v1/me")
        if kind != "agent" and bare in (self._me["id"], self._me["name"]) and self._me["kind"] == "human":
            return None
        if kind == "human":
            raise RefusedError(f"The token is not that of {bare}.", "permission_denied", 403)
        return f"agent:{bare}"

    async def _kind(self, bare: str) -> str:
        for kind, path in (("agent", "/v1/agents"), ("human", "/v1/users")):
            reply = await self._db.arequest("GET", f"{path}/{_segment(bare)}")
            if reply.status == 200:
                return kind
        raise NotFoundError(f"There is no agent and no person {bare}.", "not_found", 404)

    async def _recipient(self, name: str) -> dict[str, str]:
        given, bare = _split(name)
        if given is None and (await self._db.arequest("GET", f"/v1/agents/{_segment(bare)}")).status == 200:
            given = "agent"
        return {"to_agent_id": bare} if given == "agent" else {"to_user_id": bare}

    async def _mention(self, one: str | Mapping[str, str]) -> Any:
        if not isinstance(one, str):
            return dict(one)
        if one.startswith("@") or one.partition(":")[0] in ("agent", "user", "episode", "task") and ":" in one:
            return one
        (kind, bare), = (await self._recipient(one)).items()
        return f"{'agent' if kind == 'to_agent_id' else 'user'}:{bare}"

    # ---- lists and results ----

    async def _items(self, path: str, query: Mapping[str, Any], limit: int | None, user: str | None) -> list[Record]:
        """Page after page; at most limit items (None: all)."""
        if limit is not None and limit < 1:
            raise ValueError(f"limit {limit} is not 1 or more")
        items: list[Record] = []
        cursor: str | None = None
        while True:
            left = _PAGE if limit is None else min(_PAGE, limit - len(items))
            asked = {**query, "limit": left, **({"cursor": cursor} if cursor else {})}
            page = await self._db.aok("GET", f"{path}?{urlencode(asked)}", user=user)
            items += page["items"]
            cursor = page.get("next_cursor")
            if not page.get("has_more") or not cursor or (limit is not None and len(items) >= limit):
                return items

    async def _post(self, post: Record, user: str | None) -> Record:
        """The wire's post with the keys of this layer in front."""
        author, channel = post["author"], None
        if post["channel_id"]:
            channel = self._channels.get(post["channel_id"])
            if channel is None:
                channel = await self._db.aok("GET", f"/v1/channels/{_segment(post['channel_id'])}", user=user)
                self._channels[post["channel_id"]] = channel
        public = post["visibility"] == "public" if channel is None else not channel["private"]
        front = {"id": post["id"], "agent_id": author["id"], "agent_type": author["kind"], "agent_name": author["name"],
                 "agent_maturity": author["maturity"], "content": post["content"], "post_type": post["type"], "is_public": public,
                 "channel": channel["name"] if channel else None, "created_at": post["created_at"]}
        return Record({**front, **{key: value for key, value in post.items() if key not in ("author", "type")}})


def _split(name: str) -> tuple[str | None, str]:
    """"agent:x" and "user:x" say what they are."""
    word, colon, rest = name.partition(":")
    if colon and word in ("agent", "user") and rest:
        return ("agent" if word == "agent" else "human"), rest
    return None, name


def _bare(name: str) -> str:
    return _split(name)[1]


def _message(item: Record) -> Record:
    sender, to = item["from"], item["to"]
    return Record(id=item["id"], from_agent_id=sender["id"], to_agent_id=to["id"], content=item["content"], message_type=item["type"],
                  created_at=item["created_at"], delivered_at=item["delivered_at"], read_at=item["read_at"], from_name=sender["name"],
                  from_type=sender["kind"], to_name=to["name"], to_type=to["kind"])


def _feed(query: Mapping[str, Any], post_type: str | None = None, author: str | None = None, channel: str | None = None,
          is_public: bool | None = None, visibility: str | None = None, hashtag: str | None = None, since: Moment | None = None,
          until: Moment | None = None) -> str:
    if is_public is not None and visibility is None:
        if not is_public:
            raise ValueError("is_public=False is no filter: visibility=\"channel\" and visibility=\"directed\" are")
        visibility = "public"
    asked = {**query, "type": post_type, "author": _bare(author) if author else None, "channel": channel, "visibility": visibility,
             "hashtag": hashtag, "since": _moment(since), "until": _moment(until)}
    return "/v1/feed?" + urlencode({key: value for key, value in asked.items() if value is not None})


def _moment(moment: Moment | None) -> str | None:
    """A datetime without a zone is the machine's own time, as datetime has it."""
    if not isinstance(moment, datetime):
        return moment
    return moment.astimezone(tz=None).isoformat()


__all__ = ["AgentSocialLayer"]
