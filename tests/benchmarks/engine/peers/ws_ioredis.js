// What a team writes by hand: npm `ws`, one ioredis subscriber, a channel subscribed once however many listen to it.
"use strict";
const http = require("node:http");
const Redis = require("ioredis");
const { WebSocket, WebSocketServer } = require("ws");

const PING_MS = 30_000;

const subscriber = new Redis(Number(process.env.REDIS_PORT), "127.0.0.1");
const listeners = new Map();

subscriber.on("message", (channel, message) => {
  for (const socket of listeners.get(channel) ?? []) {
    if (socket.readyState === WebSocket.OPEN) socket.send(message);
  }
});

async function join(channel, socket) {
  const present = listeners.get(channel);
  if (present) {
    present.add(socket);
    return;
  }
  listeners.set(channel, new Set([socket]));
  await subscriber.subscribe(channel);
}

function leave(channel, socket) {
  const present = listeners.get(channel);
  present.delete(socket);
  if (!present.size) {
    listeners.delete(channel);
    subscriber.unsubscribe(channel);
  }
}

const server = http.createServer((request, response) => response.end("ok"));
const sockets = new WebSocketServer({ server, perMessageDeflate: false });

sockets.on("connection", async (socket, request) => {
  const channel = "c:" + new URL(request.url, "http://localhost").searchParams.get("c");
  socket.isAlive = true;
  socket.on("pong", () => (socket.isAlive = true));
  socket.on("error", () => {});
  socket.on("close", () => leave(channel, socket));
  await join(channel, socket);
  socket.send('{"type":"ready"}');
});

setInterval(() => {
  for (const socket of sockets.clients) {
    if (!socket.isAlive) socket.terminate();
    socket.isAlive = false;
    socket.ping();
  }
}, PING_MS);

server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
