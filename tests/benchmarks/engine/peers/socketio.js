// Socket.IO with its Redis adapter, each client in a room of its own.
"use strict";
const http = require("node:http");
const { createAdapter } = require("@socket.io/redis-adapter");
const { createClient } = require("redis");
const { Server } = require("socket.io");

async function main() {
  const publisher = createClient({ url: `redis://127.0.0.1:${process.env.REDIS_PORT}` });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);

  const server = http.createServer((request, response) => response.end("ok"));
  const io = new Server(server, {
    transports: ["websocket"],
    perMessageDeflate: false,
    serveClient: false,
    adapter: createAdapter(publisher, subscriber),
  });
  io.on("connection", (socket) => {
    socket.join(socket.handshake.query.c);
    socket.emit("ready");
  });
  server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
}

main();
