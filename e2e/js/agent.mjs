// One client of the end-to-end test: matrix-js-sdk as an application would use it, told by lines of JSON on standard
// input what to do. Each answer is a line of JSON on standard output.

import { createInterface } from "node:readline";

// The SDK talks to the console; standard output belongs to the answers.
for (const level of ["log", "info", "debug", "warn", "error", "trace"]) {
    console[level] = (...parts) => process.stderr.write(`${parts.map(String).join(" ")}\n`);
}
const sdk = await import("matrix-js-sdk");
const { ClientEvent, EventStatus, MatrixError, RoomEvent, ReceiptType, SyncState } = sdk;

const PATIENCE_MS = 60_000;
let baseUrl;
let client;
/** Every message as the live timeline brought it: room -> [{id, sender, body}]. */
const live = new Map();
const floods = new Map();

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

function credentials(answer) {
    return { user: answer.user_id, device: answer.device_id, token: answer.access_token };
}

function use(answer) {
    client = sdk.createClient({
        baseUrl,
        userId: answer.user_id,
        deviceId: answer.device_id,
        accessToken: answer.access_token,
        localTimeoutMs: 20_000,
    });
    client.on(RoomEvent.Timeline, (event, room, toStartOfTimeline, removed, data) => {
        if (!room || toStartOfTimeline || removed || !data?.liveEvent || event.getType() !== "m.room.message") return;
        if (!live.has(room.roomId)) live.set(room.roomId, []);
        live.get(room.roomId).push(message(event));
    });
    return credentials(answer);
}

function message(event) {
    return { id: event.getId(), sender: event.getSender(), body: event.getContent().body };
}

function roomOf(id) {
    const room = client.getRoom(id);
    if (!room) throw new Error(`the SDK does not know the room ${id}`);
    return room;
}

/** Sends until the server has acknowledged; a repetition carries the transaction id of the first try. */
async function sendOnce(room, body, txnId) {
    let attempt = () => client.sendMessage(room, { msgtype: "m.text", body }, txnId);
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
        try {
            return (await attempt()).event_id;
        } catch (error) {
            // What the server refused stays refused; only a broken connection is worth another try.
            if (error instanceof MatrixError && error.httpStatus) throw error;
            if (Date.now() > deadline) throw error;
            await pause(50);
            attempt = async () => {
                const pending = roomOf(room).getPendingEvents().find((event) => event.getTxnId() === txnId);
                if (!pending) throw new Error(`the SDK has lost its pending event ${txnId}`);
                if (pending.status !== EventStatus.NOT_SENT) throw new Error(`${txnId} is ${pending.status}`);
                return client.resendEvent(pending, roomOf(room));
            };
        }
    }
}

async function flood({ room, name, lanes, count, pauseMs }) {
    const sent = [];
    const state = { sent, failure: null, done: false };
    floods.set(name, state);
    const lane = async (number) => {
        for (let index = 0; index < count; index += 1) {
            const entry = { lane: number, index, body: `${name} ${number} ${index}`, sent: Date.now() };
            entry.id = await sendOnce(room, entry.body, `${name}-${number}-${index}`);
            entry.acknowledged = Date.now();
            sent.push(entry);
            await pause(Math.random() * pauseMs);
        }
    };
    const all = Promise.all(Array.from({ length: lanes }, (_, number) => lane(number)));
    all.then(
        () => (state.done = true),
        (error) => (state.failure = String(error)),
    );
}

const commands = {
    async open({ url }) {
        baseUrl = url;
    },
    async register({ username, password, token }) {
        const request = (auth) => sdk.createClient({ baseUrl }).registerRequest({ username, password, auth });
        try {
            return use(await request(undefined));
        } catch (offer) {
            if (offer.httpStatus !== 401 || !offer.data?.flows) throw offer;
            const { session, flows } = offer.data;
            const wanted = token ? "m.login.registration_token" : "m.login.dummy";
            const flow = flows.find(({ stages }) => stages.includes(wanted));
            if (!flow) throw new Error(`no flow with ${wanted}: ${JSON.stringify(flows)}`);
            let left = [...flow.stages];
            for (;;) {
                const type = left.shift();
                const auth = type === "m.login.registration_token" ? { type, token, session } : { type, session };
                try {
                    return use(await request(auth));
                } catch (answer) {
                    const completed = answer.data?.completed ?? [];
                    if (answer.httpStatus !== 401 || !completed.includes(type) || left.length === 0) throw answer;
                    left = left.filter((stage) => !completed.includes(stage));
                }
            }
        }
    },
    async login({ username, password }) {
        const identifier = { type: "m.id.user", user: username };
        return use(await sdk.createClient({ baseUrl }).loginRequest({ type: "m.login.password", identifier, password }));
    },
    async start({ limit }) {
        const prepared = new Promise((done, failed) => {
            const timer = setTimeout(() => failed(new Error("the first sync takes too long")), PATIENCE_MS);
            client.on(ClientEvent.Sync, (state) => {
                if (state === SyncState.Prepared) done(clearTimeout(timer));
            });
        });
        await client.startClient({
            initialSyncLimit: limit,
            lazyLoadMembers: true,
            pendingEventOrdering: sdk.PendingEventOrdering.Detached,
        });
        await prepared;
    },
    async stop() {
        client.stopClient();
    },
    async createRoom({ options }) {
        return (await client.createRoom(options)).room_id;
    },
    async invite({ room, user }) {
        await client.invite(room, user);
    },
    async join({ room }) {
        await client.joinRoom(room);
    },
    async membership({ room, user }) {
        return client.getRoom(room)?.getMember(user ?? client.getUserId())?.membership ?? null;
    },
    async send({ room, body }) {
        return (await client.sendMessage(room, { msgtype: "m.text", body })).event_id;
    },
    async typing({ room, typing }) {
        await client.sendTyping(room, typing, 20_000);
    },
    async isTyping({ room, user }) {
        return roomOf(room).getMember(user)?.typing ?? false;
    },
    async receipt({ room, event }) {
        const found = roomOf(room).findEventById(event);
        if (!found) throw new Error(`the SDK does not know the event ${event}`);
        await client.sendReadReceipt(found, ReceiptType.Read);
    },
    async readUpTo({ room, user }) {
        return roomOf(room).getEventReadUpTo(user, true);
    },
    /** What the live timeline has brought, in the order of arrival. */
    async live({ room }) {
        return live.get(room) ?? [];
    },
    /** The whole history: the SDK pages back from its timeline to the room's beginning. */
    async history({ room, page }) {
        let pages = 0;
        while (roomOf(room).oldState.paginationToken !== null) {
            if ((pages += 1) > 500) throw new Error("paging back does not come to an end");
            await client.scrollback(roomOf(room), page);
        }
        const events = roomOf(room).getLiveTimeline().getEvents();
        return {
            pages,
            first: events[0]?.getType() ?? null,
            messages: events.filter((event) => event.getType() === "m.room.message").map(message),
        };
    },
    async whoami() {
        return await client.whoami();
    },
    flood,
    async flooded({ name }) {
        const { sent, failure, done } = floods.get(name);
        if (failure) throw new Error(failure);
        return { sent, done };
    },
    async quit() {
        client?.stopClient();
        setTimeout(() => process.exit(0), 50);
    },
};

process.on("unhandledRejection", (error) => console.error("unhandled rejection", error?.stack ?? error));

for await (const line of createInterface({ input: process.stdin })) {
    const { id, command, ...rest } = JSON.parse(line);
    Promise.resolve()
        .then(() => commands[command](rest))
        .then(
            (value) => ({ id, value: value ?? null }),
            (error) => ({ id, error: `${error?.stack ?? error}` }),
        )
        .then((answer) => process.stdout.write(`${JSON.stringify(answer)}\n`));
}
process.exit(0);
