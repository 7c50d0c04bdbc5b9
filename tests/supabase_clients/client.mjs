// supabase-js as an app uses it, told what to do by lines of JSON and telling what its callbacks are told.
//
// node client.mjs FOLDER VERSION '{"url", "key", "token"?, "subscribe"?: {"channel", "bindings"}}'
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [folder, version, asked] = process.argv.slice(2);
const { url, key, token, subscribe: first } = JSON.parse(asked);
const require = createRequire(`${folder}/`);
const { createClient } = require(version);
const tell = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

// With a token: a session as a sign-in leaves it in the browser's storage. Else the app hands over its tokens.
let current = null;
const stored = new Map();
if (token) {
  const { exp, sub } = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
  const user = { id: sub, aud: "authenticated", app_metadata: {}, user_metadata: {}, created_at: "2026-01-01T00:00:00Z" };
  stored.set("session", JSON.stringify({
    access_token: token, refresh_token: "r", token_type: "bearer", expires_in: 3600, expires_at: exp, user,
  }));
}
const storage = {
  getItem: (name) => stored.get(name) ?? null,
  setItem: (name, value) => stored.set(name, value),
  removeItem: (name) => stored.delete(name),
};
const supabase = createClient(url, key, {
  ...(token ? {} : { accessToken: async () => current }),
  auth: { storage, storageKey: "session", autoRefreshToken: false, detectSessionInUrl: false },
  // Node 20 has no WebSocket; 2.45 brings its own, and does not connect with a given one.
  realtime: version === "v245" ? {} : { transport: require("ws") },
});
const channels = new Map();

function subscribe({ channel: name, bindings }) {
  const channel = supabase.channel(name);
  for (const binding of bindings) {
    channel.on("postgres_changes", binding, (payload) => tell({ channel: name, change: payload, bound: binding.event }));
  }
  channel.subscribe((status, error) => tell({ channel: name, status, error: error?.message ?? null }));
  channels.set(name, channel);
}

const commands = {
  subscribe,
  remove: ({ channel }) => { supabase.removeChannel(channels.get(channel)); },
  // What React's StrictMode does with the document's effect.
  strict: (asked) => { subscribe(asked); commands.remove(asked); subscribe(asked); },
  setAuth: ({ token }) => {
    current = token;
    return supabase.realtime.setAuth(version === "v245" ? token : undefined);
  },
  signOut: () => supabase.auth.signOut({ scope: "local" }),
  signIn: ({ token }) => supabase.realtime.setAuth(token), // which is what a sign-in comes to
};
if (first) subscribe(first); // in the same tick as createClient, as the document's component does

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  await commands[command.do](command);
  tell({ done: command.do });
}
process.exit(0);
