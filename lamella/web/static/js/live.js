// The one socket of this tab: channels in, heartbeat in, back again by itself when it breaks.
import { batch, signal } from "./dom.js";
import { applied, follows } from "./reduce.js";

const FIRST_DELAY_MS = 500;
const MOST_DELAY_MS = 10_000;
const SILENT_MS = 3_000;

/** "connecting" | "open" | "lost" */
export const connection = signal("connecting");
/** The server's last heartbeat. */
export const beat = signal(null);
/** Milliseconds since the last heartbeat, renewed several times a second while it matters. */
export const silence_ms = signal(0);

const channels = new Map();
let socket = null;
let delay_ms = FIRST_DELAY_MS;
let heard_at = performance.now();

/**
 * Watch a channel; the signal's value is null until the first snapshot, `{unknown: text}` for a thing nobody knows.
 * @param {string} name
 * @returns {{signal: {value: any}, leave: () => void}}
 */
export function watch(name) {
  let channel = channels.get(name);
  if (!channel) {
    channel = { signal: signal(null), seq: undefined, users: 0 };
    channels.set(name, channel);
    send({ op: "sub", ch: name });
  }
  channel.users += 1;
  return { signal: channel.signal, leave: () => leave(name) };
}

function leave(name) {
  const channel = channels.get(name);
  channel.users -= 1;
  // A page that follows at once may want the same channel: give it a moment before saying goodbye.
  setTimeout(() => {
    if (channel.users > 0 || channels.get(name) !== channel) return;
    channels.delete(name);
    send({ op: "unsub", ch: name });
  }, 200);
}

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

/** Open the socket and keep it open. */
export function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/api/v1/ws`);
  socket.onopen = () => {
    delay_ms = FIRST_DELAY_MS;
    connection.value = "open";
    for (const name of channels.keys()) send({ op: "sub", ch: name });
  };
  socket.onmessage = (event) => receive(JSON.parse(event.data));
  socket.onclose = () => {
    connection.value = "lost";
    const wait_ms = delay_ms * (0.75 + Math.random() / 2);
    delay_ms = Math.min(2 * delay_ms, MOST_DELAY_MS);
    setTimeout(connect, wait_ms);
  };
}

function receive(message) {
  heard_at = performance.now();
  if (message.op === "beat") {
    batch(() => {
      beat.value = message;
      silence_ms.value = 0;
    });
    return;
  }
  const channel = channels.get(message.ch);
  if (!channel) return;
  if (message.op === "snapshot") {
    channel.seq = message.seq;
    channel.signal.value = message.data;
  } else if (message.op === "unknown") {
    channel.signal.value ??= { unknown: message.detail };
  } else if (message.op === "delta") {
    if (follows(channel.seq, message)) {
      channel.seq = message.seq;
      channel.signal.value = applied(channel.signal.value, message);
    } else {
      // A hole: nothing may be shown that was put together wrongly.
      send({ op: "sub", ch: message.ch });
    }
  }
}

setInterval(() => {
  const silent_ms = performance.now() - heard_at;
  if (silent_ms <= 1_500 && silence_ms.value === 0) return;
  silence_ms.value = silent_ms;
  // A socket that says nothing for long is dead although nobody has told us.
  if (silent_ms > 3 * SILENT_MS && socket?.readyState === WebSocket.OPEN) socket.close();
}, 250);

/** Whether the console itself has been silent for too long. */
export const isSilent = () => silence_ms.value > SILENT_MS;
