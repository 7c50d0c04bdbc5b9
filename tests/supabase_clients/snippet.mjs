// The page's snippet, word for word: node snippet.mjs FOLDER VERSION '{"url", "key", "token", "requestId", "code"}'
import { createRequire } from "node:module";

const [folder, version, asked] = process.argv.slice(2);
const { url, key, token, requestId, code } = JSON.parse(asked);
const require = createRequire(`${folder}/`);
globalThis.WebSocket = require("ws"); // as browsers have it
const supabase = { auth: { getSession: async () => ({ data: { session: { access_token: token } } }) } };
const show = (row) => process.stdout.write(`${JSON.stringify({ change: { new: row } })}\n`);
const names = ["createClient", "supabase", "GATEWAY_URL", "SUPABASE_ANON_KEY", "requestId", "show"];
new Function(...names, code)(require(version).createClient, supabase, url, key, requestId, show);
